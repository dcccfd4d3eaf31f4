namespace C10kServer.Clients;

/// <summary>
/// The keyed bytes: byte k of connection c is <c>Pattern[(seed(c) + k) % Period]</c>. Every stream is a window on one shared
/// pattern, so that sending copies nothing and verifying is one comparison of memory.
/// </summary>
internal class Payload
{
    /// <summary>A prime, so that no usual message size divides it and a lost or doubled message shows as wrong bytes.</summary>
    public const int Period = 65521;

    // Twice over: a run of Period bytes from any offset is then contiguous.
    private static readonly byte[] Pattern = MakePattern();
    private readonly int _seed;

    /// <summary>Streams of another seed differ from this one's on every connection.</summary>
    public Payload(int seed) => _seed = seed;

    /// <summary>The bytes of a connection's stream from an offset on: at most <paramref name="length"/>, at most Period.</summary>
    public virtual ReadOnlySpan<byte> At(int connection, long offset, long length)
        => Pattern.AsSpan((int)((Key(connection) + offset) % Period), (int)Math.Min(length, Period));

    /// <summary>The number of bytes that differ from the stream; the first of them is told by its offset in the stream.</summary>
    public int Verify(int connection, long offset, ReadOnlySpan<byte> bytes, out long firstWrong, out byte expected)
    {
        int wrong = 0;
        firstWrong = -1;
        expected = 0;
        while (bytes.Length > 0)
        {
            ReadOnlySpan<byte> right = At(connection, offset, bytes.Length);
            ReadOnlySpan<byte> got = bytes[..right.Length];
            if (!got.SequenceEqual(right))
            {
                for (int i = 0; i < got.Length; i++)
                {
                    if (got[i] != right[i] && wrong++ == 0 && firstWrong < 0)
                    {
                        firstWrong = offset + i;
                        expected = right[i];
                    }
                }
            }

            bytes = bytes[right.Length..];
            offset += right.Length;
        }

        return wrong;
    }

    // Multiplied by a number prime to Period, so that neighbours lie far apart and no two of 65521 are the same.
    private long Key(int connection) => ((long)connection * 7919 + (long)(uint)_seed * 104729) % Period;

    private static byte[] MakePattern()
    {
        var pattern = new byte[2 * Period];
        ulong x = 0x9E3779B97F4A7C15;
        for (int i = 0; i < Period; i++)
        {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            pattern[i] = pattern[i + Period] = (byte)(x >> 32);
        }

        return pattern;
    }
}
