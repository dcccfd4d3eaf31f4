using System.Net;
using C10kServer.Engine.Native;

namespace C10kServer.Engine.Load;

/// <summary>The options of a load, which are fixed when it is made. Immutable.</summary>
public sealed record LoadOptions
{
    /// <summary>Bytes of the longest message. The limit is there because a message stands in for a request and not for a file transfer.</summary>
    public const int MaxMessageSize = 16 * 1024 * 1024;

    // The most requests in flight on all connections. Each of them needs eight bytes for its moment.
    private const long MaxInFlight = 16 * 1024 * 1024;

    /// <summary>The address of the server to load: an <see cref="IPEndPoint"/> or a <see cref="UnixEndPoint"/>.</summary>
    public required EndPoint Target { get; init; }

    /// <summary>What the connections do.</summary>
    public LoadMode Mode { get; init; }

    /// <summary>The number of connections at a time.</summary>
    public int Connections { get; init; } = 100;

    /// <summary>How long requests are sent, or connections are held. Zero means until <see cref="Count"/> is reached.</summary>
    public TimeSpan Duration { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// The number of requests in all, or of connections in all for <see cref="LoadMode.Churn"/>. 0 means as many as <see cref="Duration"/> allows.
    /// </summary>
    public long Count { get; init; }

    /// <summary>Bytes of a request, and of its answer.</summary>
    public int MessageSize { get; init; } = 64;

    /// <summary>The most requests in flight on each connection.</summary>
    public int Pipeline { get; init; } = 1;

    /// <summary>
    /// Requests a second in all. Each request is sent when it is due, even if earlier requests are not answered, and its latency counts from
    /// then. 0 means that each connection sends when it has its answer.
    /// </summary>
    public double Rate { get; init; }

    /// <summary>How long a connection may take to be made.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a connection may wait for an answer without receiving a byte of it.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The server is in this process, so its ends of the connections need descriptors of the process, too.</summary>
    public bool IsOwnServer { get; init; }

    /// <exception cref="ArgumentException">An option is out of its range, or has no effect. ParamName is the option.</exception>
    public void Validate()
    {
        ArgumentNullException.ThrowIfNull(Target);
        if (Target is not (IPEndPoint { Port: > 0 } or UnixEndPoint { Path.Length: > 0 }))
        {
            throw new ArgumentException("The target is an address with a port, or the path of a socket.", nameof(Target));
        }

        Check(
            Target is not UnixEndPoint unix || System.Text.Encoding.UTF8.GetByteCount(unix.Path) <= SockAddr.MaxPathLength,
            $"The path of a socket has at most {SockAddr.MaxPathLength} bytes.",
            nameof(Target));
        Check(
            Target is not IPEndPoint { Address: { IsIPv6LinkLocal: true, ScopeId: 0 } },
            "A link-local address needs its interface, for instance fe80::1%eth0 (ip link shows the interfaces).",
            nameof(Target));
        InRange((int)Mode, 0, (int)LoadMode.Idle, nameof(Mode));
        InRange(Connections, 1, 1_000_000, nameof(Connections));
        InRange(MessageSize, 1, MaxMessageSize, nameof(MessageSize));
        InRange(Pipeline, 1, 65536, nameof(Pipeline));
        InRange(Duration, TimeSpan.Zero, nameof(Duration));
        InRange(ConnectTimeout, TimeSpan.FromMilliseconds(1), nameof(ConnectTimeout));
        InRange(Timeout, TimeSpan.FromMilliseconds(1), nameof(Timeout));
        if (Count < 0)
        {
            throw new ArgumentOutOfRangeException(nameof(Count), Count, $"{nameof(Count)} must not be negative.");
        }

        if (!(Rate == 0 || Rate is >= 0.001 and <= 100_000_000))
        {
            throw new ArgumentOutOfRangeException(nameof(Rate), Rate, $"{nameof(Rate)} must be from 0.001 to 100,000,000 requests a second.");
        }

        if ((long)Connections * Pipeline > MaxInFlight)
        {
            throw new ArgumentOutOfRangeException(
                nameof(Pipeline), Pipeline, $"{nameof(Connections)} times {nameof(Pipeline)} must be at most {MaxInFlight}.");
        }

        Check(Pipeline == 1 || Mode == LoadMode.Echo, "Only in the mode Echo are several requests in flight on a connection.", nameof(Pipeline));
        Check(Count == 0 || Mode != LoadMode.Idle, "In the mode Idle each connection is echoed once: there is nothing to count.", nameof(Count));
        Check(Rate == 0 || Mode != LoadMode.Idle, "In the mode Idle there is no rate: nothing is sent until the end.", nameof(Rate));
        Check(Duration > TimeSpan.Zero || (Count > 0 && Mode != LoadMode.Idle), "Without a duration, a count of requests must end the load.", nameof(Duration));
    }

    private static void Check(bool good, string message, string name)
    {
        if (!good)
        {
            throw new ArgumentException(message, name);
        }
    }

    private static void InRange(int value, int least, int most, string name)
    {
        if (value < least || value > most)
        {
            throw new ArgumentOutOfRangeException(name, value, $"{name} must be from {least} to {most}.");
        }
    }

    private static void InRange(TimeSpan value, TimeSpan least, string name)
    {
        TimeSpan most = TimeSpan.FromDays(365);
        if (value < least || value > most)
        {
            throw new ArgumentOutOfRangeException(name, value, $"{name} must be from {least} to {most}.");
        }
    }
}
