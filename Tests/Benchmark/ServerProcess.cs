using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace C10kServer.Benchmark;

/// <summary>A server in a process of its own, and what the kernel knows of it.</summary>
internal sealed class ServerProcess : IDisposable
{
    private readonly Process _process;

    internal ServerProcess(string name, Func<int, IEnumerable<string>> commandLine)
    {
        Name = name;
        EndPoint = FreePort();
        string[] words = [.. commandLine(EndPoint.Port)];
        _process = Process.Start(new ProcessStartInfo(words[0], words[1..]) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        var patience = Stopwatch.StartNew();
        while (!Answers())
        {
            if (_process.HasExited || patience.Elapsed > TimeSpan.FromSeconds(60))
            {
                Dispose();
                throw new InvalidOperationException($"{name} does not listen on {EndPoint}: {string.Join(' ', words)}");
            }

            Thread.Sleep(50);
        }
    }

    internal string Name { get; }

    internal IPEndPoint EndPoint { get; }

    /// <summary>Of all its threads, those that have ended included.</summary>
    internal TimeSpan CpuTime
    {
        get
        {
            // In ticks of 10 ms: USER_HZ has been 100 for as long as there is an ABI.
            string stat = File.ReadAllText($"/proc/{_process.Id}/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return TimeSpan.FromMilliseconds(10 * (long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)));
        }
    }

    internal long ResidentBytes
    {
        get
        {
            string line = File.ReadLines($"/proc/{_process.Id}/status").First(static line => line.StartsWith("VmRSS:", StringComparison.Ordinal));
            return 1024 * long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
        }
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit();
        }

        _process.Dispose();
    }

    private bool Answers()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Connect(EndPoint);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static IPEndPoint FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return (IPEndPoint)socket.LocalEndPoint!;
    }
}
