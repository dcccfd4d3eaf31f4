using System.Collections.Immutable;
using System.Globalization;
using System.Management.Automation;
using System.Net;
using C10kServer.Parameters;

namespace C10kServer;

/// <summary>A connection as it was when it was asked for.</summary>
/// <remarks>The methods act by Id. Ids are never used again, so an old row can never hit a stranger.</remarks>
public sealed class Connection
{
    private readonly Server _server;

    // Replaced as a whole by Refresh, so that a row is never half old.
    private volatile Engine.ConnectionInfo _info;
    private volatile bool _gone;

    internal Connection(Server server, Engine.ConnectionInfo info)
    {
        _server = server;
        _info = info;
    }

    /// <summary>The connection's number, unique in the process.</summary>
    public long Id => _info.Id;

    /// <summary>The Id of the connection's server.</summary>
    public int ServerId => _server.Id;

    /// <summary>The name of the connection's server.</summary>
    public string ServerName => _server.Name;

    /// <summary>Where the connection is in its life.</summary>
    public ConnectionState State => _gone ? ConnectionState.Closed : (ConnectionState)_info.State;

    /// <summary>Why it ended; None while it is open, or where it was gone before the reason could be read.</summary>
    public CloseReason CloseReason => (CloseReason)_info.CloseReason;

    /// <summary>The peer's address; none where it came over a Unix domain socket.</summary>
    public IPAddress? RemoteAddress => (_info.RemoteEndPoint as IPEndPoint)?.Address;

    /// <summary>The peer's port; 0 where it came over a Unix domain socket.</summary>
    public int RemotePort => (_info.RemoteEndPoint as IPEndPoint)?.Port ?? 0;

    /// <summary>The peer's address and port.</summary>
    public EndPoint RemoteEndPoint => _info.RemoteEndPoint;

    /// <summary>The address and port, or the path, that the peer connected to.</summary>
    public EndPoint LocalEndPoint => _info.LocalEndPoint;

    /// <summary>The worker that owns the connection.</summary>
    public int Worker => _info.Worker;

    /// <summary>When it was accepted, in local time, as the wall clock said it then.</summary>
    public DateTimeOffset StartTime => _info.StartTime.ToLocalTime();

    /// <summary>When it ended, in local time; none while it is there, and where it was gone before that could be read.</summary>
    public DateTimeOffset? EndTime => _info.EndTime?.ToLocalTime();

    /// <summary>How long ago it was accepted; for one that has ended, how long it lasted.</summary>
    public TimeSpan Age => _info.Age;

    /// <summary>How long nothing was received or sent.</summary>
    public TimeSpan IdleTime => _info.IdleTime;

    /// <summary>Age in seconds: a number, which compares with a number as Age does not.</summary>
    public double AgeSeconds => _info.Age.TotalSeconds;

    /// <summary>IdleTime in seconds: a number, which compares with a number as IdleTime does not.</summary>
    public double IdleSeconds => _info.IdleTime.TotalSeconds;

    /// <summary>The bytes received.</summary>
    public long BytesReceived => _info.BytesReceived;

    /// <summary>The bytes sent.</summary>
    public long BytesSent => _info.BytesSent;

    /// <summary>The messages received.</summary>
    public long MessagesReceived => _info.MessagesReceived;

    /// <summary>The bytes that wait to be sent.</summary>
    public long SendQueue => _info.SendQueue;

    /// <summary>Whether reading is paused.</summary>
    public bool ReadPaused => _info.ReadPaused;

    /// <summary>
    /// What the handler keeps with the connection. Of one that has ended: what a script has set, its text or bytes cut to 1,024; of a compiled
    /// handler's state a plain value or a text, and none of any other object.
    /// </summary>
    public object? Tag => _info.Tag;

    /// <summary>The kernel's state of the connection. Like all that follows it is there only where it was asked for, and over TCP.</summary>
    public TcpState? TcpState => (TcpState?)_info.Tcp?.State;

    /// <summary>The round-trip time in milliseconds, smoothed.</summary>
    public double? RttMs => _info.Tcp?.RttMs;

    /// <summary>How far the round-trip time varies, in milliseconds.</summary>
    public double? RttVarMs => _info.Tcp?.RttVarMs;

    /// <summary>The least round-trip time that was seen, in milliseconds.</summary>
    public double? MinRttMs => _info.Tcp?.MinRttMs;

    /// <summary>The segments that were sent again, in all.</summary>
    public long? Retransmits => _info.Tcp?.Retransmits;

    /// <summary>The congestion window, in segments.</summary>
    public long? Cwnd => _info.Tcp?.Cwnd;

    /// <summary>The segments that were sent and not acknowledged yet.</summary>
    public long? Unacked => _info.Tcp?.Unacked;

    /// <summary>The bytes a second that reached the peer, as last measured.</summary>
    public long? DeliveryRate => _info.Tcp?.DeliveryRate;

    internal Server Server => _server;

    /// <summary>Reads the values again, those of TCP too. A connection that is gone shows as Closed, with its last values.</summary>
    /// <exception cref="TimeoutException">The worker did not answer.</exception>
    public void Refresh()
    {
        Act(Engine.ConnectionAction.Look);
    }

    /// <summary>Closes: what is queued is still sent. Closing twice does no harm.</summary>
    /// <exception cref="TimeoutException">The worker did not answer.</exception>
    public void Close() => Act(Engine.ConnectionAction.Close);

    /// <summary>Resets: what is queued is lost, and the peer sees an error.</summary>
    /// <exception cref="TimeoutException">The worker did not answer.</exception>
    public void Abort() => Act(Engine.ConnectionAction.Reset);

    /// <summary>Sends text, in UTF-8, or bytes.</summary>
    /// <param name="data">A string, bytes in whatever array or list, or an object that is sent as text.</param>
    /// <exception cref="ArgumentException">It is an array of something else than bytes, or there is nothing to send.</exception>
    /// <exception cref="InvalidOperationException">The connection is gone or closing, or its queue is full. Nothing was sent.</exception>
    /// <exception cref="TimeoutException">The worker did not answer.</exception>
    /// <remarks>One method, and not one each: of several the shell would take that of strings for every array but a byte[].</remarks>
    public void Send(object data)
    {
        ArgumentNullException.ThrowIfNull(data);
        byte[] bytes = ByteList.Read(data)
            ?? EncodingAttribute.Utf8.GetBytes((string)LanguagePrimitives.ConvertTo(data, typeof(string), CultureInfo.InvariantCulture));
        Engine.SendOutcome outcome = _server.TrySend(
            ToReference(), ImmutableArray.Create(bytes), Server.AnswerTimeout, CancellationToken.None, out Engine.ConnectionInfo? after);
        if (after is null)
        {
            _gone = true;
            throw new InvalidOperationException(Messages.ConnectionGone(Id));
        }

        _info = after;
        if (outcome == Engine.SendOutcome.QueueFull)
        {
            throw new InvalidOperationException(Messages.QueueFull(_server, Id));
        }

        if (outcome == Engine.SendOutcome.Closing || State == ConnectionState.Closed)
        {
            throw new InvalidOperationException(Messages.ConnectionClosing(Id, CloseReason));
        }
    }

    /// <summary>The connection in short.</summary>
    /// <returns>For instance "#17 192.0.2.7:50112".</returns>
    public override string ToString() => $"#{Id} {RemoteEndPoint}";

    /// <summary>Where the engine finds the connection without a search.</summary>
    internal Engine.ConnectionRef ToReference() => new(_info.Id, _info.Worker, _info.Slot);

    private void Act(Engine.ConnectionAction action)
    {
        if (!_server.TryAct(ToReference(), action, Server.AnswerTimeout, CancellationToken.None, out Engine.ConnectionInfo? after))
        {
            _gone = true;
        }
        else if (after is not null)
        {
            _info = after;
        }
    }
}
