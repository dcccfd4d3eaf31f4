using System.Collections;
using System.Collections.Immutable;
using System.Management.Automation;
using System.Runtime.InteropServices;
using System.Text;
using C10kServer.Parameters;

namespace C10kServer.Commands;

/// <summary>Send-C10kData: sends text or bytes on connections, or on all connections of servers.</summary>
[Cmdlet(VerbsCommunications.Send, "C10kData", SupportsShouldProcess = true, DefaultParameterSetName = ById, HelpUri = OnlineHelp)]
[OutputType(typeof(void), typeof(Connection))]
public sealed class SendC10kDataCommand : ConnectionTargetCmdlet
{
    private const string ByServer = "Server";

    private ImmutableArray<byte> _bytes;

    /// <summary>The connections themselves. Servers and workers stand for all their connections.</summary>
    [Parameter(Mandatory = true, ParameterSetName = ByObject, ValueFromPipeline = true)]
    [ValidateNotNullOrEmpty]
    public override ConnectionTarget[]? InputObject { get; set; }

    /// <summary>The servers to all of whose connections the data is sent: objects, names with wildcards, or Ids.</summary>
    [Parameter(Mandatory = true, ParameterSetName = ByServer)]
    [ValidateNotNullOrEmpty]
    [SupportsWildcards]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    public ServerSelector[]? Server { get; set; }

    /// <summary>The data to send: a string, or bytes.</summary>
    /// <remarks>
    /// The type is IEnumerable and not object, because PowerShell gives an unnamed argument to the first parameter whose type fits. Text and
    /// bytes are sequences, and an Id is not. Therefore an Id comes before the data, and after a pipeline the data is the first argument.
    /// </remarks>
    [Parameter(Mandatory = true, Position = 0, ParameterSetName = ByObject)]
    [Parameter(Mandatory = true, Position = 0, ParameterSetName = ByServer)]
    [Parameter(Mandatory = true, Position = 1, ParameterSetName = ById)]
    [Data]
    [ValidateNotNullOrEmpty]
    public IEnumerable Data { get; set; } = "";

    /// <summary>The encoding that turns a string into bytes.</summary>
    [Parameter]
    [Encoding]
    [ArgumentCompleter(typeof(EncodingCompleter))]
    [ValidateNotNull]
    public Encoding Encoding { get; set; } = EncodingAttribute.Utf8;

    /// <inheritdoc/>
    protected override string Action => _bytes.Length == 1 ? "Send 1 byte" : $"Send {_bytes.Length} bytes";

    /// <summary>Makes the bytes, once for all targets.</summary>
    protected override void BeginProcessing()
    {
        base.BeginProcessing();
        if (Data is not string && IsGiven(nameof(Encoding)))
        {
            ThrowTerminatingError(new ErrorRecord(
                new ArgumentException("-Encoding is for text, and -Data is bytes already. Leave the one out, or give a string."),
                "InvalidArgument", ErrorCategory.InvalidArgument, Data));
        }

        // The bytes are copied, because the caller may change its array while sockets still read from it.
        try
        {
            _bytes = Data is string text
                ? ImmutableCollectionsMarshal.AsImmutableArray(Encoding.GetBytes(text))
                : ImmutableArray.Create(ByteList.Read(Data) ?? []);
        }
        catch (ArgumentException e) when (e is not EncoderFallbackException)
        {
            ThrowTerminatingError(new ErrorRecord(new ArgumentException($"-Data: {e.Message}", e), "InvalidArgument", ErrorCategory.InvalidArgument, Data));
        }
    }

    /// <summary>Sends the data to each target.</summary>
    protected override void ProcessRecord()
    {
        if (Server is null)
        {
            base.ProcessRecord();
        }
        else
        {
            SendToAll(Server);
        }
    }

    private protected override void ActOn(ConnectionTarget target)
    {
        if (target.All is null)
        {
            base.ActOn(target);
        }
        else
        {
            SendToAll([target.All]);
        }
    }

    private protected override bool MayAct(Server server, Connection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        bool open = connection.State is not (ConnectionState.Closing or ConnectionState.Closed);
        if (!open)
        {
            WriteClosing(connection.Id, connection.CloseReason);
        }

        return open;
    }

    private void SendToAll(ServerSelector[] selectors)
    {
        foreach (Target target in FindTargets(selectors))
        {
            if (IsWhatIf && target.Connection is long one)
            {
                CheckOnly([target.Server], new Engine.ConnectionRef(one), $"#{one} of {target.Server.Name}");
                continue;
            }

            string what = target.Connection is long id ? $"connection #{id}" : target.Worker is int worker ? $"all connections of worker {worker}" : "all connections";
            if (ShouldProcess($"{target.Server}, {what}", Action))
            {
                Send(target);
            }
        }
    }

    private protected override bool TryAct(
        Server server, Engine.ConnectionRef target, TimeSpan timeout, out Engine.ConnectionInfo? after)
    {
        Engine.SendOutcome outcome = server.TrySend(target, _bytes, timeout, StopToken, out after);
        if (outcome == Engine.SendOutcome.NotFound)
        {
            return false;
        }

        if (outcome == Engine.SendOutcome.QueueFull)
        {
            WriteFull(server, target.Id);
            after = null;
        }
        else if (outcome == Engine.SendOutcome.Closing || !IsSent(after!))
        {
            WriteClosing(after!.Id, (CloseReason)after.CloseReason);
            after = null;
        }

        return true;
    }

    // A write that fails ends the connection at once.
    private static bool IsSent(Engine.ConnectionInfo after) => after.State != Engine.ConnectionState.Closed;

    /// <summary>
    /// Sends with one walk over all connections, which the workers make by themselves. Ten thousand separate commands would mean ten thousand
    /// waits.
    /// </summary>
    private void Send(Target target)
    {
        Engine.ConnectionQuery filter = target.Connection is long id
            ? new Engine.ConnectionQuery { Ids = [id] }
            : new Engine.ConnectionQuery { Workers = target.Worker is int worker ? [worker] : null };
        int reached = 0;
        using Engine.ConnectionWalk walk = target.Server.Broadcast(filter, _bytes);
        try
        {
            while (walk.TryTake(C10kServer.Server.AnswerTimeout, StopToken, out IReadOnlyList<Engine.ConnectionInfo>? portion))
            {
                foreach (Engine.ConnectionInfo info in portion!)
                {
                    reached++;
                    if (walk.WasFull(info.Id))
                    {
                        WriteFull(target.Server, info.Id);
                    }
                    else if (!IsSent(info))
                    {
                        WriteClosing(info.Id, (CloseReason)info.CloseReason);
                    }
                    else if (PassThru)
                    {
                        WriteObject(new Connection(target.Server, info));
                    }
                }
            }
        }
        catch (OperationCanceledException)
        {
            throw new PipelineStoppedException();
        }

        foreach (int silent in walk.SilentWorkers)
        {
            WriteNotResponding(Messages.SendUnanswered(target.Server, silent), target.Server);
        }

        if (target.Connection is long given && reached == 0 && walk.SilentWorkers.Count == 0)
        {
            WriteNotFound("ConnectionNotFound", Messages.ConnectionGone(given), given);
        }
    }

    private void WriteFull(Server server, long connection) => WriteError(new ErrorRecord(
        new InvalidOperationException(Messages.QueueFull(server, connection)), "SendQueueFull", ErrorCategory.ResourceBusy, connection));

    private void WriteClosing(long id, CloseReason reason) => WriteError(new ErrorRecord(
        new InvalidOperationException(Messages.ConnectionClosing(id, reason)), "ConnectionClosing", ErrorCategory.ResourceUnavailable, id));
}
