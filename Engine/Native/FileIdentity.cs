using System.Text;

namespace C10kServer.Engine.Native;

/// <summary>The identity of a file, whatever the file is called. See statx(2).</summary>
internal readonly unsafe record struct FileIdentity(ulong Inode, uint Major, uint Minor, int Type)
{
    private const int TypeSocket = 0xC000;

    // The length of struct statx.
    private const int StatxLength = 256;

    internal bool IsSocket => Type == TypeSocket;

    /// <summary>
    /// The file at a path. Links are not followed unless that is asked for. Returns the default if there is no file, or none that we may
    /// see.
    /// </summary>
    internal static FileIdentity Of(string path, bool follow = false)
    {
        const int CurrentDirectory = -100;
        const int NoFollow = 0x100;
        return Look(CurrentDirectory, path, follow ? 0 : NoFollow);
    }

    /// <summary>The file that a descriptor is open on.</summary>
    internal static FileIdentity Of(int fd)
    {
        const int EmptyPath = 0x1000;
        return Look(fd, "", EmptyPath);
    }

    /// <summary>The size of a file, or -1 if there is no file that we may see.</summary>
    /// <param name="path">The file's path, with a zero at the end.</param>
    internal static long SizeOf(byte* path)
    {
        const int CurrentDirectory = -100;
        const int OffsetSize = 40;
        const uint SizeAlone = 0x200;
        byte* file = stackalloc byte[StatxLength];
        return Libc.Statx(CurrentDirectory, path, 0, SizeAlone, file) == 0 ? *(long*)(file + OffsetSize) : -1;
    }

    private static FileIdentity Look(int directory, string path, int flags)
    {
        // The offsets of struct statx are the same on every architecture.
        const int OffsetMode = 28;
        const int OffsetInode = 32;
        const int OffsetMajor = 136;
        const int OffsetMinor = 140;
        const uint TypeAndInode = 0x001 | 0x100;
        const int TypeMask = 0xF000;

        byte* file = stackalloc byte[StatxLength];
        fixed (byte* p = Encoding.UTF8.GetBytes(path + '\0'))
        {
            if (Libc.Statx(directory, p, flags, TypeAndInode, file) != 0)
            {
                return default;
            }
        }

        var bytes = new ReadOnlySpan<byte>(file, StatxLength);
        return new FileIdentity(
            BitConverter.ToUInt64(bytes[OffsetInode..]),
            BitConverter.ToUInt32(bytes[OffsetMajor..]),
            BitConverter.ToUInt32(bytes[OffsetMinor..]),
            BitConverter.ToUInt16(bytes[OffsetMode..]) & TypeMask);
    }
}
