namespace C10kServer.Engine.Tests.Support;

/// <summary>Bytes that are a function of a key and an offset: a byte of another connection, or out of place, shows.</summary>
internal static class Keyed
{
    internal static byte[] Bytes(int key, int count, int offset = 0)
    {
        var bytes = new byte[count];
        for (int i = 0; i < count; i++)
        {
            bytes[i] = At(key, offset + i);
        }

        return bytes;
    }

    internal static byte At(int key, int offset)
    {
        uint x = (uint)key * 2654435761u + (uint)offset * 2246822519u;
        x ^= x >> 15;
        x *= 3266489917u;
        return (byte)(x >> 24);
    }

    /// <summary>Fails with the place of the first wrong byte.</summary>
    internal static void Verify(int key, ReadOnlySpan<byte> bytes, int offset = 0)
    {
        for (int i = 0; i < bytes.Length; i++)
        {
            if (bytes[i] != At(key, offset + i))
            {
                Assert.Fail($"byte {offset + i} of key {key} is {bytes[i]}, not {At(key, offset + i)}");
            }
        }
    }
}
