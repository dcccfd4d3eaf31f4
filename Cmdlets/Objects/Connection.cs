using System.Collections.Immutable;
using System.Globalization;
using System.Management.Automation;
using System.Net;
using C10kServer.Parameters;

namespace C10kServer;

/// <summary>A connection as it was when the object was made or last refreshed.</summary>
/// <remarks>The methods find the connection by its Id. Ids are never used again, so an old object can never act on another connection.</remarks>
public sealed class Connection
{
    private readonly Server _server;

    // Refresh replaces the whole object, so that the values of a row always belong together.
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

    /// <summary>The state of the connection.</summary>
    public ConnectionState State => _gone ? ConnectionState.Closed : (ConnectionState)_info.State;

    /// <summary>Why the connection ended. None while it is open, or if it was gone before the reason could be read.</summary>
    public CloseReason CloseReason => (CloseReason)_info.CloseReason;

    /// <summary>The peer's address, or null if the peer connected over a Unix domain socket.</summary>
    public IPAddress? RemoteAddress => (_info.RemoteEndPoint as IPEndPoint)?.Address;

    /// <summary>The peer's port, or 0 if the peer connected over a Unix domain socket.</summary>
    public int RemotePort => (_info.RemoteEndPoint as IPEndPoint)?.Port ?? 0;

    /// <summary>The peer's address and port.</summary>
    public EndPoint RemoteEndPoint => _info.RemoteEndPoint;

    /// <summary>The address and port, or the path, that the peer connected to.</summary>
    public EndPoint LocalEndPoint => _info.LocalEndPoint;

    /// <summary>The worker that owns the connection.</summary>
    public int Worker => _info.Worker;

    /// <summary>When the connection was accepted, in local time, by the wall clock of that moment.</summary>
    public DateTimeOffset StartTime => _info.StartTime.ToLocalTime();

    /// <summary>When the connection ended, in local time. Null while it exists, or if it was gone before the time could be read.</summary>
    public DateTimeOffset? EndTime => _info.EndTime?.ToLocalTime();

    /// <summary>The time since the connection was accepted. For a connection that has ended, the time that it lasted.</summary>
    public TimeSpan Age => _info.Age;

    /// <summary>The time for which nothing has been received or sent.</summary>
    public TimeSpan IdleTime => _info.IdleTime;

    /// <summary>Age in seconds. Unlike Age, it can be compared with a number.</summary>
    public double AgeSeconds => _info.Age.TotalSeconds;

    /// <summary>IdleTime in seconds. Unlike IdleTime, it can be compared with a number.</summary>
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
    /// The state that the handler keeps with the connection. After the end of the connection, a script's value is kept, with a text or an
    /// array of bytes cut to 1,024 characters or bytes. Of a compiled handler's state, a plain value or a text is kept, and other objects are
    /// not.
    /// </summary>
    public object? Tag => _info.Tag;

    /// <summary>
    /// The kernel's state of the connection. This property and the following ones have a value only if TCP details were asked for and the
    /// connection is a TCP connection.
    /// </summary>
    public TcpState? TcpState => (TcpState?)_info.Tcp?.State;

    /// <summary>The smoothed round-trip time in milliseconds.</summary>
    public double? RttMs => _info.Tcp?.RttMs;

    /// <summary>The variation of the round-trip time, in milliseconds.</summary>
    public double? RttVarMs => _info.Tcp?.RttVarMs;

    /// <summary>The shortest round-trip time that was seen, in milliseconds.</summary>
    public double? MinRttMs => _info.Tcp?.MinRttMs;

    /// <summary>The total number of segments that were sent again.</summary>
    public long? Retransmits => _info.Tcp?.Retransmits;

    /// <summary>The congestion window, in segments.</summary>
    public long? Cwnd => _info.Tcp?.Cwnd;

    /// <summary>The segments that were sent and are not acknowledged yet.</summary>
    public long? Unacked => _info.Tcp?.Unacked;

    /// <summary>The rate at which bytes reached the peer, in bytes per second, as last measured.</summary>
    public long? DeliveryRate => _info.Tcp?.DeliveryRate;

    internal Server Server => _server;

    /// <summary>
    /// Reads the values again, with the TCP details. A connection that is gone has the state Closed, and keeps its last values.
    /// </summary>
    /// <exception cref="TimeoutException">The worker did not answer.</exception>
    public void Refresh()
    {
        Act(Engine.ConnectionAction.Look);
    }

    /// <summary>Closes the connection. Queued output is still sent. Closing twice does no harm.</summary>
    /// <exception cref="TimeoutException">The worker did not answer.</exception>
    public void Close() => Act(Engine.ConnectionAction.Close);

    /// <summary>Resets the connection. Queued output is lost, and the peer sees an error.</summary>
    /// <exception cref="TimeoutException">The worker did not answer.</exception>
    public void Abort() => Act(Engine.ConnectionAction.Reset);

    /// <summary>Sends text, in UTF-8, or bytes.</summary>
    /// <param name="data">A string, bytes in an array or list of any kind, or an object that is sent as text.</param>
    /// <exception cref="ArgumentException">The data is an array of something other than bytes, or there is nothing to send.</exception>
    /// <exception cref="InvalidOperationException">The connection is gone or closing, or its queue is full. Nothing was sent.</exception>
    /// <exception cref="TimeoutException">The worker did not answer.</exception>
    /// <remarks>
    /// The method takes any type, because with several overloads the shell would choose the overload for strings for every array except byte[].
    /// </remarks>
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

    /// <summary>A short text for the connection.</summary>
    /// <returns>For instance "#17 192.0.2.7:50112".</returns>
    public override string ToString() => $"#{Id} {RemoteEndPoint}";

    /// <summary>The reference by which the engine finds the connection without a search.</summary>
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
