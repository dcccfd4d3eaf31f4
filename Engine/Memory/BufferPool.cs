using System.Diagnostics;

namespace C10kServer.Engine;

/// <summary>
/// Blocks for queued output, cut from pinned slabs that the GC never moves (pitfalls 7, 43). One pool a worker, touched by its
/// thread alone. A slab whose blocks have all come back is let go as soon as another is as free, so that a burst of slow
/// readers does not stay in the process's memory.
/// </summary>
internal sealed class BufferPool
{
    /// <summary>
    /// Bytes in a block: what one send takes gladly, and the least that a connection with output left over holds.
    /// </summary>
    internal const int BlockSize = 16 * 1024;

    private const int BlocksPerSlab = 32;

    // Those with a free block; the last one serves.
    private readonly List<Slab> _available = [];

    /// <summary>Slabs held, for tests.</summary>
    internal int SlabCount { get; private set; }

    internal Block Rent()
    {
        if (_available.Count == 0)
        {
            // Room for all slabs, because returning a block must not fail.
            _available.EnsureCapacity(SlabCount + 1);
            _available.Add(new Slab());
            SlabCount++;
        }

        Slab slab = _available[^1];
        int offset = slab.Take();
        if (slab.FreeCount == 0)
        {
            _available.RemoveAt(_available.Count - 1);
        }

        return new Block(slab, offset);
    }

    internal void Return(Block block)
    {
        Slab slab = block.Slab;
        slab.Give(block.Offset);
        if (slab.FreeCount == 1)
        {
            _available.Add(slab);
        }
        else if (slab.FreeCount == BlocksPerSlab && _available.Count > 1)
        {
            _available.Remove(slab);
            SlabCount--;
        }
    }

    /// <summary>A block's memory; a value, so that renting allocates nothing.</summary>
    internal readonly record struct Block(Slab Slab, int Offset)
    {
        internal Span<byte> Memory => Slab.Memory.AsSpan(Offset, BlockSize);
    }

    internal sealed class Slab
    {
        private readonly int[] _free = new int[BlocksPerSlab];

        internal Slab()
        {
            for (int i = 0; i < BlocksPerSlab; i++)
            {
                _free[i] = (BlocksPerSlab - 1 - i) * BlockSize;
            }

            FreeCount = BlocksPerSlab;
        }

        internal byte[] Memory { get; } = GC.AllocateUninitializedArray<byte>(BlocksPerSlab * BlockSize, pinned: true);

        internal int FreeCount { get; private set; }

        internal int Take() => _free[--FreeCount];

        internal void Give(int offset)
        {
            Debug.Assert(FreeCount < BlocksPerSlab, "a block came back twice");
            _free[FreeCount++] = offset;
        }
    }
}
