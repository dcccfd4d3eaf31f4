using System.Globalization;

namespace C10kServer.Soak.Tests.Support;

/// <summary>A run of the clients' program, see Tests/Clients/README.md.</summary>
internal sealed class Clients : IDisposable
{
    private readonly ChildProcess _process;

    internal Clients(ServerProcess server, string command, params IEnumerable<string> options)
    {
        _process = new ChildProcess(
            ChildProcess.Metadata("ClientsAssembly"),
            [command, "--port", server.Port.ToString(CultureInfo.InvariantCulture), .. options]);
    }

    internal bool HaveEnded => _process.HasEnded;

    /// <summary>Runs the program to its end.</summary>
    internal static Answer Run(TimeSpan patience, ServerProcess server, string command, params IEnumerable<string> options)
    {
        using var clients = new Clients(server, command, options);
        return clients.End(patience);
    }

    /// <summary>Waits for the end, which must be a good one: no byte was wrong, and every connection is accounted for.</summary>
    internal Answer End(TimeSpan patience)
    {
        Answer answer = _process.ReadLine(patience);
        _process.WaitForEnd(TimeSpan.FromMinutes(3));
        Assert.True(_process.ExitCode == 0, $"exit code {_process.ExitCode}: {answer.Text}\n{_process.Errors}");
        Assert.Equal(0, answer["wrong"]);
        return answer;
    }

    public void Dispose() => _process.Dispose();
}
