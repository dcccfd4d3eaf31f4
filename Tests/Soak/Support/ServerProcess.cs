namespace C10kServer.Soak.Tests.Support;

/// <summary>A shell with a server in it, see Server.ps1, and what can be done to it from outside.</summary>
internal sealed class ServerProcess : IDisposable
{
    // An answer waits for the process, which may be short of a core for a while.
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromMinutes(3);

    private readonly ChildProcess _process;

    internal ServerProcess()
    {
        _process = new ChildProcess(
            ChildProcess.Metadata("PowerShellAssembly"), "-NoProfile", "-NonInteractive", "-File", ChildProcess.Metadata("ServerScript"));
        try
        {
            Before = _process.ReadLine(TimeSpan.FromMinutes(5));
            Assert.Equal("ready", Before.Name);
        }
        catch
        {
            _process.Dispose();
            throw;
        }
    }

    /// <summary>Descriptors and threads before the server was started, and its port.</summary>
    internal Answer Before { get; }

    internal long Port => Before["port"];

    internal Answer Ask(string line)
    {
        _process.WriteLine(line);
        Answer answer = _process.ReadLine(AnswerTimeout);
        Assert.Equal(line, answer.Name);
        return answer;
    }

    internal Answer Stats() => Ask("stats");

    /// <summary>Waits until the server has no connection any more.</summary>
    internal Answer Rest()
    {
        Answer stats = Stats();
        Eventually.True(() => (stats = Stats())["connections"] == 0, "the connections are gone");
        Assert.Equal(stats["accepted"], stats["closed"]);
        return stats;
    }

    /// <summary>
    /// Kilobytes at rest, of what the process cannot do without: the least that it was after a few full collections.
    /// Between collections the figure tells when the collector ran last and how much it has kept for the next burst, which
    /// varies by more than the drift that is looked for; what is leaked is still there after a collection. The least of
    /// several, since collecting and answering takes memory too.
    /// </summary>
    internal long CollectedRss()
    {
        Rest();
        return Enumerable.Range(0, 5).Min(_ => Ask("collect")["rss"]);
    }

    /// <summary>Descriptors of any kind that the process has open.</summary>
    internal int OpenDescriptors => Directory.GetFileSystemEntries($"/proc/{_process.Id}/fd").Length;

    /// <summary>Lowers the limit of descriptors, does something, and raises it again. What is above the limit stays open.</summary>
    internal T WithDescriptorLimit<T>(int limit, Func<T> what)
    {
        ulong before = Libc.SetDescriptorLimit(_process.Id, (ulong)limit);
        try
        {
            return what();
        }
        finally
        {
            _ = Libc.SetDescriptorLimit(_process.Id, before);
        }
    }

    /// <summary>As that, for a time, in which the server is left alone with its clients.</summary>
    internal void Starve(int limit, TimeSpan time) => WithDescriptorLimit(limit, () =>
    {
        Thread.Sleep(time);
        return true;
    });

    /// <summary>Stops the process for a time, as a debugger or a frozen virtual machine does.</summary>
    internal void Freeze(TimeSpan time)
    {
        Libc.Signal(_process.Id, Libc.Stop);
        try
        {
            Eventually.True(IsStopped);
            Thread.Sleep(time);
        }
        finally
        {
            Libc.Signal(_process.Id, Libc.Continue);
        }
    }

    public void Dispose() => _process.Dispose();

    // proc(5): the state comes after the name in parentheses; t where a debugger watches.
    private bool IsStopped()
    {
        string stat = File.ReadAllText($"/proc/{_process.Id}/stat");
        return stat[stat.LastIndexOf(')') + 2] is 'T' or 't';
    }
}
