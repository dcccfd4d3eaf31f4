using System.Globalization;

namespace C10kServer.Benchmark;

/// <summary>The tests' client in a process of its own, and its answers, which are lines of key=value.</summary>
internal sealed class Client : IDisposable
{
    private readonly ChildProcess _process;

    internal Client(int port, params string[] arguments)
    {
        // A client that waits must not give up before the benchmark does.
        _process = new ChildProcess([.. Programs.Clients, .. arguments, "--port", $"{port}", "--timeout", "600"]);
    }

    /// <summary>Runs one to its end.</summary>
    internal static IReadOnlyDictionary<string, string> Run(int port, params string[] arguments)
    {
        using var client = new Client(port, arguments);
        return client.Read();
    }

    /// <summary>One that holds connections, when they are there.</summary>
    internal static Client Hold(int port, int count, out IReadOnlyDictionary<string, string> connected)
    {
        var client = new Client(port, "hold", "--lines", "--count", $"{count}");
        connected = client.Read();
        return client;
    }

    internal IReadOnlyDictionary<string, string> Ask(string line)
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

    private Dictionary<string, string> Read()
    {
        string line = _process.Output.ReadLine() ?? throw new InvalidOperationException("The client has ended without an answer.");
        var answer = line.Split(' ').Skip(1).Select(static pair => pair.Split('=', 2)).ToDictionary(static pair => pair[0], static pair => pair[1]);
        return answer.GetValueOrDefault("complete") == "0" || answer.GetValueOrDefault("wrong", "0") != "0"
            ? throw new InvalidOperationException($"The client says: {line}")
            : answer;
    }
}

/// <summary>Numbers of an answer.</summary>
internal static class AnswerExtensions
{
    internal static double Number(this IReadOnlyDictionary<string, string> answer, string key) =>
        double.Parse(answer[key], CultureInfo.InvariantCulture);
}
