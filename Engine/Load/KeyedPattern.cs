using System.Runtime.CompilerServices;

namespace C10kServer.Engine.Load;

/// <summary>
/// The bytes that all connections send, each beginning at a place of its own: byte n of a connection is a function of the connection and of
/// n. A byte of another connection, or a byte out of order, is therefore detected. A send needs no copy, and a check is one comparison.
/// </summary>
internal sealed unsafe class KeyedPattern
{
    /// <summary>The most bytes that one send or recv takes.</summary>
    internal const int Chunk = 256 * 1024;

    // Two primes. If the period divided the message's length, all messages would be alike. If one prime divides the length, the other one does
    // not.
    private const int Prime = 65521;
    private const int OtherPrime = 65519;

    // 2^32 divided by the golden ratio. It puts the places of neighbouring connections far apart.
    private const uint Golden = 2654435761;

    private readonly byte[] _bytes;
    private readonly byte* _first;
    private readonly uint _period;

    internal KeyedPattern(int messageSize)
    {
        _period = messageSize % Prime == 0 ? OtherPrime : (uint)Prime;
        _bytes = GC.AllocateUninitializedArray<byte>((int)_period + Chunk, pinned: true);
        _first = (byte*)Unsafe.AsPointer(ref _bytes[0]);
        new Random(1).NextBytes(_bytes.AsSpan(0, (int)_period));
        for (int i = (int)_period; i < _bytes.Length; i++)
        {
            _bytes[i] = _bytes[i - (int)_period];
        }
    }

    /// <summary>The place at which a connection begins. No two of 65,519 connections in a row have the same place.</summary>
    internal int Start(uint connection) => (int)(connection * (ulong)Golden % _period);

    /// <summary>The place <paramref name="count"/> bytes after another one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal int Advance(int place, int count) => (int)((uint)(place + count) % _period);

    /// <summary>The address of the <see cref="Chunk"/> bytes that begin at a place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal byte* At(int place) => _first + place;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool Matches(int place, byte* received, int count) =>
        new ReadOnlySpan<byte>(received, count).SequenceEqual(new ReadOnlySpan<byte>(_first + place, count));
}
