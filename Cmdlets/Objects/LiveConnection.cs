using System.Collections;
using System.Net;
using C10kServer.Parameters;
using C10kServer.Scripting;

namespace C10kServer;

/// <summary>
/// A connection as a script handler sees it in <c>$Connection</c>. The values are live. Any thread may use the object, also after the handler has
/// returned.
/// </summary>
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

    /// <summary>The state of the connection.</summary>
    public ConnectionState State => (ConnectionState)_session.State;

    /// <summary>Why closing has begun, or None.</summary>
    public CloseReason CloseReason => (CloseReason)_session.CloseReason;

    /// <summary>The peer's address, or null if the peer connected over a Unix domain socket.</summary>
    public IPAddress? RemoteAddress => (_session.RemoteEndPoint as IPEndPoint)?.Address;

    /// <summary>The peer's port, or 0 if the peer connected over a Unix domain socket.</summary>
    public int RemotePort => (_session.RemoteEndPoint as IPEndPoint)?.Port ?? 0;

    /// <summary>The peer's address and port.</summary>
    public EndPoint RemoteEndPoint => _session.RemoteEndPoint;

    /// <summary>When the connection was accepted, in local time.</summary>
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
    /// A value of the handler's choice that Get-C10kConnection shows. With -Closed, Get-C10kConnection shows a text or an array of bytes cut
    /// to 1,024 characters or bytes.
    /// </summary>
    public object? Tag
    {
        get => _session.Tag;
        set => _session.Tag = value;
    }

    internal Server Server => _pool.Server;

    /// <summary>
    /// The table that a handler sees as <c>$ConnectionState</c>. It needs no lock, because handlers of one connection never run at the same time.
    /// </summary>
    internal Hashtable ConnectionState => _state ??= new Hashtable(StringComparer.OrdinalIgnoreCase);

    /// <summary>
    /// Sends an object as if the handler had written it as output. Text is encoded and gets the marks of the framing. Bytes, in an array or
    /// list of any kind, are sent as they are.
    /// </summary>
    /// <param name="data">A string, bytes, or an object that is sent as text.</param>
    /// <returns>
    /// False if nothing was sent, because the connection is closing or closed, or because its queue is full and the call does not come from
    /// its own handler.
    /// </returns>
    /// <exception cref="ArgumentException">The data is an array of something other than bytes.</exception>
    /// <remarks>
    /// The method takes any type, because with several overloads the shell would choose the overload for strings for every array except byte[].
    /// </remarks>
    public bool Send(object? data) =>
        _session.Send(Argument.Unwrap(data) is byte[] bytes ? bytes : _pool.OutputOfThisThread().Encode(data));

    /// <summary>Sends encoded text and adds no marks of the framing, for a prompt for instance.</summary>
    /// <param name="text">The text.</param>
    /// <returns>
    /// False if nothing was sent, because the connection is closing or closed, or because its queue is full and the call does not come from
    /// its own handler.
    /// </returns>
    public bool SendText(string text) => _session.Send(_pool.Encoding.GetBytes(text));

    /// <summary>Sends bytes as a message, with the marks of the framing.</summary>
    /// <param name="message">The bytes.</param>
    /// <returns>
    /// False if nothing was sent, because the connection is closing or closed, or because its queue is full and the call does not come from
    /// its own handler.
    /// </returns>
    public bool SendFrame(byte[] message) => _session.Send(_pool.OutputOfThisThread().EncodeFrame(message));

    /// <summary>
    /// Closes the connection. Queued output is still sent. If the connection's own handler calls this, the output of the present message is
    /// sent, too.
    /// </summary>
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

    /// <summary>Resets the connection. Queued output is lost, and the peer sees an error.</summary>
    public void Abort() => _session.Abort();

    /// <summary>A short text for the connection.</summary>
    /// <returns>For instance "#17 192.0.2.7:50112".</returns>
    public override string ToString() => $"#{Id} {RemoteEndPoint}";
}
