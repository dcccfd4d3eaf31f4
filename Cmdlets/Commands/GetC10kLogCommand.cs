using System.Management.Automation;
using C10kServer.Parameters;

namespace C10kServer.Commands;

/// <summary>Get-C10kLog: gets the records that servers have logged, and follows the log.</summary>
[Cmdlet(VerbsCommon.Get, "C10kLog", HelpUri = OnlineHelp)]
[OutputType(typeof(LogRecord))]
public sealed class GetC10kLogCommand : C10kCmdlet
{
    private readonly List<Server> _servers = [];

    /// <summary>The servers: objects, names with wildcards, or Ids.</summary>
    [Parameter(Position = 0, ValueFromPipeline = true)]
    [ValidateNotNullOrEmpty]
    [SupportsWildcards]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    public ServerSelector[]? Server { get; set; }

    /// <summary>Leaves out less important records.</summary>
    [Parameter]
    public LogLevel Level { get; set; }

    /// <summary>The number of records to get, the newest ones.</summary>
    [Parameter]
    [ValidateRange(0, int.MaxValue)]
    public int Last { get; set; } = int.MaxValue;

    /// <summary>Goes on with the records to come, until the servers have been stopped.</summary>
    [Parameter]
    public SwitchParameter Wait { get; set; }

    /// <summary>Collects the servers whose logs are wanted.</summary>
    protected override void ProcessRecord() => _servers.AddRange(FindTargets(Server).Select(target => target.Server));

    /// <summary>Writes the records of all servers together.</summary>
    protected override void EndProcessing()
    {
        LogReader[] readers = [.. _servers.Distinct().Select(server => new LogReader(server, Level))];

        // The event is not disposed of, because a server's thread may be about to set it. Without a wait handle it holds no resource.
        ManualResetEventSlim news = new();
        Action wake = news.Set;
        try
        {
            // The handlers are added before the first read, so that no record is missed between the two.
            Array.ForEach(readers, reader => reader.Server.Log.Written += wake);
            Write(readers, Last);
            while (Wait && !readers.All(reader => reader.IsDone))
            {
                news.Wait(StopToken);
                news.Reset();
                Write(readers, int.MaxValue);
            }
        }
        catch (OperationCanceledException)
        {
            throw new PipelineStoppedException();
        }
        finally
        {
            Array.ForEach(readers, reader => reader.Server.Log.Written -= wake);
        }
    }

    private void Write(LogReader[] readers, int most)
    {
        List<(DateTimeOffset At, LogRecord Record)> records = [];
        foreach (LogReader reader in readers.Where(reader => !reader.IsDone))
        {
            records.AddRange(reader.Read(out long lost));
            if (lost > 0)
            {
                WriteWarning(
                    $"{lost} records of {reader.Server.Name} are missing here: newer ones had replaced them before they could be read. " +
                    "A higher -LogLevel makes fewer of them, and a -LogPath keeps them all.");
            }
        }

        // OrderBy is stable, so that the records of each log keep their order.
        foreach ((_, LogRecord record) in records.OrderBy(record => record.At).Skip(Math.Max(0, records.Count - most)))
        {
            WriteObject(record);
        }
    }
}
