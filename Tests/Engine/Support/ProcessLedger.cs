using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace C10kServer.Engine.Tests.Support;

/// <summary>Descriptors and engine threads of this process, as the kernel has them.</summary>
internal static class ProcessLedger
{
    // The runtime's sockets have epolls of their own, made at first use: before anything is counted.
    static ProcessLedger()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var client = new TcpClient();
        client.ConnectAsync((IPEndPoint)listener.LocalEndpoint).GetAwaiter().GetResult();
        using Socket accepted = listener.AcceptSocket();
        _ = accepted.SendAsync(new byte[1], SocketFlags.None).GetAwaiter().GetResult();
        _ = client.Client.ReceiveAsync(new byte[1], SocketFlags.None).GetAwaiter().GetResult();
    }

    /// <summary>Sockets, epolls and eventfds: what an engine could leak.</summary>
    internal static int Descriptors() => Links().Count;

    private static List<string> Links()
    {
        var links = new List<string>();
        foreach (string link in Directory.GetFileSystemEntries("/proc/self/fd"))
        {
            string? target;
            try
            {
                target = new FileInfo(link).LinkTarget;
            }
            catch (IOException)
            {
                continue; // the one that lists the directory
            }

            if (target is not null && (target.StartsWith("socket:", StringComparison.Ordinal) || target.Contains("[event", StringComparison.Ordinal)))
            {
                links.Add($"{Path.GetFileName(link)} {target}");
            }
        }

        return links;
    }

    /// <summary>Fails with what is left over when the descriptors do not come down to a base line.</summary>
    internal static void AssertDescriptors(int atMost) =>
        Eventually.True(() => Descriptors() <= atMost, () => $"over {atMost} descriptors are open: {string.Join(", ", Links())}");

    /// <summary>Threads with the engine's name.</summary>
    internal static int EngineThreads() => EngineTasks().Count();

    /// <summary>Threads of load generators, which are among those.</summary>
    internal static int LoadThreads() => Tasks("c10k load").Count();

    /// <summary>The kernel's ids of the engine's threads.</summary>
    internal static IEnumerable<int> EngineThreadIds() =>
        EngineTasks().Select(static task => int.Parse(Path.GetFileName(task), CultureInfo.InvariantCulture));

    /// <summary>What those have taken of the processors: nobody else's work is in it, and no compiler's.</summary>
    internal static TimeSpan EngineCpuTime()
    {
        long ticks = 0;
        foreach (string task in EngineTasks())
        {
            string stat = File.ReadAllText($"{task}/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            ticks += long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture);
        }

        // USER_HZ has been 100 for as long as there is an ABI.
        return TimeSpan.FromMilliseconds(ticks * 10);
    }

    private static IEnumerable<string> EngineTasks() => Tasks("c10k");

    private static IEnumerable<string> Tasks(string name) => Directory.GetDirectories("/proc/self/task").Where(task =>
    {
        try
        {
            return File.ReadAllText($"{task}/comm").StartsWith(name, StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false; // it has just ended
        }
    });
}
