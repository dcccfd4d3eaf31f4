using System.Numerics;

namespace C10kServer.Engine;

/// <summary>
/// Memory for unfinished input, in arrays of a power of two. A worker has one pool, so that renting takes no lock and the sum is known. What comes
/// back is kept for the next message up to a bound; the rest is left to the collector, so that a burst of large messages does not stay in
/// the process's memory. Belongs to its worker's thread.
/// </summary>
internal sealed class InputPool
{
    /// <summary>Bytes of the smallest array: a line or two.</summary>
    internal const int Least = 256;

    /// <summary>The most bytes that are kept for later.</summary>
    internal const int MostKept = 4 * 1024 * 1024;

    private const int LargestPower = 1 << 30;

    private readonly Stack<byte[]>?[] _free = new Stack<byte[]>?[32];
    private int _kept;

    /// <summary>The bytes of the arrays that are rented.</summary>
    internal long Held { get; private set; }

    /// <exception cref="OutOfMemoryException">Nothing has changed.</exception>
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
                // The collector has it instead.
            }
        }
    }

    /// <summary>An array's connection goes to another worker.</summary>
    internal void Leave(int length) => Held -= length;

    /// <summary>An array's connection has come from another worker.</summary>
    internal void Enter(int length) => Held += length;
}
