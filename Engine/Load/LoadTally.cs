using C10kServer.Engine.Native;

namespace C10kServer.Engine.Load;

/// <summary>The counts of a load. The load's thread writes; any thread may read the longs.</summary>
internal sealed class LoadTally
{
    private readonly Dictionary<(string What, int Errno), long> _details = [];

    internal long Connected;
    internal long Requests;
    internal long Bytes;
    internal long FailedConnects;
    internal long Resets;
    internal long Closes;
    internal long WrongBytes;
    internal long Timeouts;

    /// <summary>How many connections failed. From any thread.</summary>
    internal long Errors => Volatile.Read(ref FailedConnects) + Volatile.Read(ref Resets) + Volatile.Read(ref Closes)
        + Volatile.Read(ref WrongBytes) + Volatile.Read(ref Timeouts);

    internal LatencyHistogram Latency { get; } = new();

    /// <summary>The most frequent error number of failed connects; 0 if no connect failed.</summary>
    internal int ConnectError =>
        _details.Where(static d => d.Key.What == NotConnected).OrderByDescending(static d => d.Value).Select(static d => d.Key.Errno).FirstOrDefault();

    private const string NotConnected = "could not connect";

    internal void ConnectFailed(int errno)
    {
        FailedConnects++;
        Note(NotConnected, errno);
    }

    internal void Broken(int errno)
    {
        Resets++;
        Note("were broken", errno);
    }

    internal void ClosedByServer()
    {
        Closes++;
        Note("were closed by the server before their answers were complete", 0);
    }

    internal void WrongByte()
    {
        WrongBytes++;
        Note("brought bytes that were not their own", 0);
    }

    internal void TimedOut()
    {
        Timeouts++;
        Note("got no answer in time", 0);
    }

    internal IReadOnlyList<string> Describe() =>
        [.. from detail in _details orderby detail.Value descending select $"{detail.Value} {detail.Key.What}{Explain(detail.Key.Errno)}"];

    /// <summary>The system's text for an error number, and what to do if the text does not say that.</summary>
    internal static string Explain(int errno) => errno switch
    {
        0 => "",
        Errno.ECONNREFUSED => $": {Errno.Describe(errno)}. Nobody listens there, or has stopped to",
        Errno.EADDRNOTAVAIL =>
            $": {Errno.Describe(errno)}. All ports of this machine towards that address are taken, by connections that are open or " +
            "have just been (sysctl net.ipv4.ip_local_port_range; ss -s counts)",
        Errno.EMFILE => $": {Errno.Describe(errno)}. The process has no descriptors left (ulimit -n before the shell starts)",
        Errno.ETIMEDOUT => $": {Errno.Describe(errno)}. Its accept queue is full, or a firewall drops what is sent there",
        _ => $": {Errno.Describe(errno)}",
    };

    private void Note(string what, int errno) => _details[(what, errno)] = _details.GetValueOrDefault((what, errno)) + 1;
}
