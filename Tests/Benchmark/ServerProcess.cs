using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace C10kServer.Benchmark;

/// <summary>A server in a process of its own.</summary>
internal sealed class ServerProcess : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private ServerProcess(string name, ChildProcess process, IPEndPoint endPoint, Shell? shell = null)
    {
        Name = name;
        Process = process;
        EndPoint = endPoint;
        Shell = shell;
    }

    internal string Name { get; }

    internal ChildProcess Process { get; }

    internal IPEndPoint EndPoint { get; }

    /// <summary>The shell that it runs in, with the server in $server; null for those that are no module of a shell.</summary>
    internal Shell? Shell { get; }

    /// <summary>The module in a shell.</summary>
    internal static ServerProcess InShell(string name, string options)
    {
        var shell = new Shell();
        string answer = shell.Ask($"$server = Start-C10kServer {options}; $server.Port");
        if (!int.TryParse(answer, CultureInfo.InvariantCulture, out int port))
        {
            shell.Dispose();
            throw new InvalidOperationException($"Start-C10kServer {options}: {answer}");
        }

        return new ServerProcess(name, shell.Process, new IPEndPoint(IPAddress.Loopback, port), shell);
    }

    /// <summary>A program that is told its port.</summary>
    internal static ServerProcess OnPort(string name, Func<int, IReadOnlyList<string>> commandLine)
    {
        IPEndPoint endPoint = FreePort();
        IReadOnlyList<string> words = commandLine(endPoint.Port);
        var process = new ChildProcess(words);
        var patience = Stopwatch.StartNew();
        while (!Answers(endPoint))
        {
            if (process.HasExited || patience.Elapsed > Patience)
            {
                process.Dispose();
                throw new InvalidOperationException($"{name} does not listen on {endPoint}: {string.Join(' ', words)}");
            }

            Thread.Sleep(50);
        }

        return new ServerProcess(name, process, endPoint);
    }

    public void Dispose() => Process.Dispose();

    private static bool Answers(IPEndPoint endPoint)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Connect(endPoint);
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
