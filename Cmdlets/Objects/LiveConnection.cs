using System.Collections;
using System.Net;
using C10kServer.Parameters;
using C10kServer.Scripting;

namespace C10kServer;

/// <summary>A connection as its script handler has it: <c>$Connection</c>. Live, and for use from any thread, also after the handler has returned.</summary>
public sealed class LiveConnection
{
    private readonly Engine.Session _session;
    private readonly HandlerPool _pool;
    private Hashtable? _state;

    internal LiveConnection(Engine.Session session, HandlerPool pool)
    {
        _session = session;
        _pool = pool;
    }

    /// <summary>The connection's number, unique in the process.</summary>
    public long Id => _session.Id;

    /// <summary>The name of the connection's server.</summary>
    public string ServerName => _pool.Server.Name;

    /// <summary>Where the connection is in its life.</summary>
    public ConnectionState State => (ConnectionState)_session.State;

    /// <summary>Why closing has begun, or None.</summary>
    public CloseReason CloseReason => (CloseReason)_session.CloseReason;

    /// <summary>The peer's address; none where it came over a Unix domain socket.</summary>
    public IPAddress? RemoteAddress => (_session.RemoteEndPoint as IPEndPoint)?.Address;

    /// <summary>The peer's port; 0 where it came over a Unix domain socket.</summary>
    public int RemotePort => (_session.RemoteEndPoint as IPEndPoint)?.Port ?? 0;

    /// <summary>The peer's address and port.</summary>
    public EndPoint RemoteEndPoint => _session.RemoteEndPoint;

    /// <summary>When it was accepted, in local time.</summary>
    public DateTimeOffset StartTime => _session.StartTime.ToLocalTime();

    /// <summary>The bytes received.</summary>
    public long BytesReceived => _session.BytesReceived;

    /// <summary>The bytes sent.</summary>
    public long BytesSent => _session.BytesSent;

    /// <summary>The messages received.</summary>
    public long MessagesReceived => _session.MessagesReceived;

    /// <summary>The bytes that wait to be sent.</summary>
    public long SendQueue => _session.SendQueue;

    /// <summary>
    /// A place for whatever the handler wants Get-C10kConnection to show, with -Closed too: there a text or an array of bytes is cut to 1,024
    /// characters or bytes.
    /// </summary>
    public object? Tag
    {
        get => _session.Tag;
        set => _session.Tag = value;
    }

    internal Server Server => _pool.Server;

    /// <summary>What a handler sees as <c>$ConnectionState</c>. Handlers of one connection never run at the same time, so it needs no lock.</summary>
    internal Hashtable ConnectionState => _state ??= new Hashtable(StringComparer.OrdinalIgnoreCase);

    /// <summary>
    /// Sends something as if the handler had put it out: text is encoded, with the marks of the framing; bytes, in whatever array or list, are sent
    /// as they are.
    /// </summary>
    /// <param name="data">A string, bytes, or an object that is sent as text.</param>
    /// <returns>
    /// False, and nothing is sent: the connection is closing or closed, or, where it is not the handler's own, its queue is full.
    /// </returns>
    /// <exception cref="ArgumentException">It is an array of something else than bytes.</exception>
    /// <remarks>One method, and not one each: of several the shell would take that of strings for every array but a byte[].</remarks>
    public bool Send(object? data) =>
        _session.Send(Argument.Unwrap(data) is byte[] bytes ? bytes : _pool.OutputOfThisThread().Encode(data));

    /// <summary>Sends text encoded, and nothing with it: a prompt, say.</summary>
    /// <param name="text">The text.</param>
    /// <returns>
    /// False, and nothing is sent: the connection is closing or closed, or, where it is not the handler's own, its queue is full.
    /// </returns>
    public bool SendText(string text) => _session.Send(_pool.Encoding.GetBytes(text));

    /// <summary>Sends bytes as a message, with the marks of the framing.</summary>
    /// <param name="message">The bytes.</param>
    /// <returns>
    /// False, and nothing is sent: the connection is closing or closed, or, where it is not the handler's own, its queue is full.
    /// </returns>
    public bool SendFrame(byte[] message) => _session.Send(_pool.OutputOfThisThread().EncodeFrame(message));

    /// <summary>Closes: what is queued is still sent, and in a handler what it puts out with the present message.</summary>
    public void Close()
    {
        if (HandlerThread.Current is { } thread && thread.Session == _session)
        {
            thread.CloseAfterMessage();
        }
        else
        {
            _session.Close();
        }
    }

    /// <summary>Resets: what is queued is lost, and the peer sees an error.</summary>
    public void Abort() => _session.Abort();

    /// <summary>The connection in short.</summary>
    /// <returns>For instance "#17 192.0.2.7:50112".</returns>
    public override string ToString() => $"#{Id} {RemoteEndPoint}";
}
