using System.Diagnostics;

namespace C10kServer.Engine;

/// <summary>
/// Blocks for queued output, cut from pinned slabs that the GC never moves (pitfalls 7, 43). Each worker has one pool, and only the worker's
/// thread touches it. A slab whose blocks have all been returned is released as soon as another slab is as free, so that the memory of a
/// burst of slow readers does not stay with the process.
/// </summary>
internal sealed class BufferPool
{
    /// <summary>
    /// Bytes in a block. One send usually takes this much, and a connection with output left over holds at least this much.
    /// </summary>
    internal const int BlockSize = 16 * 1024;

    private const int BlocksPerSlab = 32;

    // The slabs with a free block. Blocks are taken from the last one.
    private readonly List<Slab> _available = [];

    /// <summary>The number of slabs that the pool holds, for tests.</summary>
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

    /// <summary>A block of a slab. It is a value, so that renting allocates nothing.</summary>
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
