namespace C10kServer.Benchmark;

/// <summary>The tests' client, in a process of its own. What it sends are numbered lines, and it verifies what comes back.</summary>
internal sealed class Client : IDisposable
{
    private readonly ChildProcess _process;

    private Client(int port, params string[] arguments)
    {
        // One that waits to be told what to do must not give up before the benchmark does.
        _process = new ChildProcess([.. Programs.Clients, .. arguments, "--lines", "--port", $"{port}", "--timeout", "600"]);
    }

    /// <summary>Runs one to its end.</summary>
    internal static Answer Run(int port, params string[] arguments)
    {
        using var client = new Client(port, arguments);
        return client.Read();
    }

    /// <summary>One that holds connections, when they are there.</summary>
    internal static Client Hold(int port, int count, out Answer connected)
    {
        var client = new Client(port, "hold", "--count", $"{count}");
        connected = client.Read();
        return client;
    }

    internal Answer Ask(string line)
    {
        _process.Input.WriteLine(line);
        _process.Input.Flush();
        return Read();
    }

    /// <summary>Ends it, its connections with it.</summary>
    internal void Quit()
    {
        _ = Ask("quit");
        _process.WaitForExit(TimeSpan.FromSeconds(30));
    }

    public void Dispose() => _process.Dispose();

    private Answer Read() =>
        new(_process.Output.ReadLine() ?? throw new InvalidOperationException("The client has ended without an answer."));
}
