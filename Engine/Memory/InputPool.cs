using System.Numerics;

namespace C10kServer.Engine;

/// <summary>
/// Memory for unfinished input, in arrays whose length is a power of two. A worker has one pool, so that renting takes no lock and the sum is
/// known. Returned arrays are kept for later messages up to a limit. The others are left to the garbage collector, so that the memory of a
/// burst of large messages does not stay with the process. The pool belongs to its worker's thread.
/// </summary>
internal sealed class InputPool
{
    /// <summary>Bytes of the smallest array. One or two lines of text fit into it.</summary>
    internal const int Least = 256;

    /// <summary>The most bytes that are kept for later messages.</summary>
    internal const int MostKept = 4 * 1024 * 1024;

    private const int LargestPower = 1 << 30;

    private readonly Stack<byte[]>?[] _free = new Stack<byte[]>?[32];
    private int _kept;

    /// <summary>The bytes of the arrays that are rented.</summary>
    internal long Held { get; private set; }

    /// <exception cref="OutOfMemoryException">There is no memory. The pool has not changed.</exception>
    internal byte[] Rent(int least)
    {
        int size = least > LargestPower ? Array.MaxLength : (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(least, Least));
        byte[] bytes;
        if (_free[BitOperations.Log2((uint)size)] is { Count: > 0 } free)
        {
            bytes = free.Pop();
            _kept -= size;
        }
        else
        {
            bytes = GC.AllocateUninitializedArray<byte>(size);
        }

        Held += size;
        return bytes;
    }

    internal void Return(byte[] bytes)
    {
        Held -= bytes.Length;
        if (_kept + bytes.Length <= MostKept)
        {
            try
            {
                (_free[BitOperations.Log2((uint)bytes.Length)] ??= new Stack<byte[]>()).Push(bytes);
                _kept += bytes.Length;
            }
            catch (OutOfMemoryException)
            {
                // The array is left to the garbage collector instead.
            }
        }
    }

    /// <summary>An array leaves this pool's sum, because its connection migrates to another worker.</summary>
    internal void Leave(int length) => Held -= length;

    /// <summary>An array enters this pool's sum, because its connection has migrated from another worker.</summary>
    internal void Enter(int length) => Held += length;
}
