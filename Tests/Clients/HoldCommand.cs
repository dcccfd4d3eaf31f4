using System.Diagnostics;
using C10kServer.Clients.Kinds;

namespace C10kServer.Clients;

/// <summary>
/// <c>hold</c>: opens its connections, keeps them, and does with them what standard input says, one line after the other,
/// with one line of answer to each. The end of the input is the end of the process.
/// </summary>
internal sealed class HoldCommand : IEchoOwner
{
    private readonly CommonOptions _options;
    private readonly int _neverRead;
    private readonly long _neverReadBytes;
    private readonly List<EchoClient> _clients = [];
    private readonly List<NeverReader> _neverReaders = [];
    private int _busy;
    private int _broken;

    /// <param name="neverRead">How many of the connections, the last ones, send and do not read.</param>
    /// <param name="neverReadBytes">How much each of those sends.</param>
    public HoldCommand(CommonOptions options, int neverRead, long neverReadBytes)
    {
        _options = options;
        _neverRead = Math.Min(neverRead, options.Count);
        _neverReadBytes = neverReadBytes;
    }

    public Histogram Latencies { get; private set; } = new();

    public int Run()
    {
        using var loop = new Loop(_options.Timeout);
        var fleet = new Fleet(loop, _options);
        fleet.Open(_options.Count, _options.Count, i => Make(fleet, i));
        bool complete = loop.RunUntil(() => fleet.AllOpened);
        new Line("connected").Add("count", fleet.Ledger.Connected).Add("failed", fleet.Ledger.Failed).AddSeconds("seconds", fleet.Elapsed)
            .AddSeconds("slowest", fleet.SlowestConnect).AddFlag("complete", complete).Add("errors", fleet.Ledger.Errors).Print();

        var inbox = new Inbox(loop);
        while (loop.RunUntil(() => !inbox.IsEmpty) && !loop.Expired)
        {
            string? line = inbox.Take();
            if (line is null || new Request(line).Name == "quit")
            {
                fleet.Ledger.AddTo(new Line("quit")).Print();
                return fleet.Ledger.Wrong == 0 ? ExitCode.Good : ExitCode.Bad;
            }

            Answer(fleet, new Request(line)).Print();
        }

        fleet.Ledger.AddTo(new Line("timeout")).Print();
        return ExitCode.TimedOut;
    }

    public void OnConnected(EchoClient client)
    {
        // It waits to be told.
    }

    public void OnExchanged(EchoClient client) => _busy--;

    public void OnEnded(EchoClient client, bool busy)
    {
        if (busy)
        {
            _busy--;
            _broken++;
        }
    }

    private Client Make(Fleet fleet, int number)
    {
        if (number >= _options.Count - _neverRead)
        {
            var neverReader = new NeverReader(fleet, number, _neverReadBytes);
            _neverReaders.Add(neverReader);
            return neverReader;
        }

        var client = new EchoClient(fleet, number, this);
        _clients.Add(client);
        return client;
    }

    private Line Answer(Fleet fleet, Request request)
    {
        try
        {
            return request.Name switch
            {
                "status" => fleet.Ledger.AddTo(new Line("status")).Add("noticed", fleet.EndsNoticed).Add("errors", fleet.Ledger.Errors),
                "connection" => Connection(request),
                "echo" => Echo(fleet, request),
                "send" => Send(fleet, request),
                "read" => Read(fleet, request),
                "halfclose" => HalfClose(request),
                "close" => Close(fleet, request),
                "reset" => Reset(request),
                "wait" => Wait(fleet, request),
                _ => new Line("error").Add("reason", "unknown_request"),
            };
        }
        catch (FormatException e)
        {
            return new Line("error").Add("reason", e.Message);
        }
    }

    private Line Connection(Request request)
    {
        int number = request.Number("number", 0, 0, 0);
        Client? client = number < _clients.Count ? _clients[number]
            : number - _clients.Count < _neverReaders.Count ? _neverReaders[number - _clients.Count] : null;
        return client is null ? new Line("error").Add("reason", "no_such_connection")
            : new Line("connection").Add("number", number).Add("outcome", client.IsOpen ? "Open" : client.Outcome.ToString()).Add("sent", client.Sent)
                .Add("received", client.Received).AddFlag("noticed", client.HasNoticedEnd).AddFlag("wrong", client.HasWrongBytes);
    }

    private Line Echo(Fleet fleet, Request request)
    {
        int messages = request.Number("messages", 0, 1, 1);
        int size = request.Number("size", 1, _options.Size, 1);
        long wrong = fleet.Ledger.Wrong;
        List<EchoClient> chosen = Choose(int.MaxValue, c => c.CanSend);
        Latencies = new Histogram();
        _broken = 0;
        _busy = chosen.Count;
        long started = Stopwatch.GetTimestamp();
        foreach (EchoClient client in chosen)
        {
            client.Begin(messages, size, 1);
        }

        bool complete = fleet.Loop.RunUntil(() => _busy == 0, request.Timeout);
        TimeSpan time = Stopwatch.GetElapsedTime(started);
        long answered = chosen.Sum(c => c.Done);
        int failed = _broken + _busy;
        return new Line("echo").Add("connections", chosen.Count - failed).Add("messages", answered).Add("bytes", answered * size)
            .Add("wrong", fleet.Ledger.Wrong - wrong).Add("failed", failed).AddSeconds("seconds", time).AddRate("rate", answered, time)
            .Add("p50", Latencies.Percentile(0.5)).Add("p99", Latencies.Percentile(0.99)).Add("max", Latencies.Max)
            .AddFlag("complete", complete);
    }

    private Line Send(Fleet fleet, Request request)
    {
        int bytes = request.Number("bytes", 0, _options.Size, 1);
        List<EchoClient> chosen = Choose(int.MaxValue, c => c.CanSend);
        long before = chosen.Sum(c => c.Sent);
        long started = Stopwatch.GetTimestamp();
        foreach (EchoClient client in chosen)
        {
            client.Send(bytes);
        }

        bool complete = fleet.Loop.RunUntil(All(chosen, c => !c.CanSend || c.Sent == c.Goal), request.Timeout);
        TimeSpan time = Stopwatch.GetElapsedTime(started);
        long sent = chosen.Sum(c => c.Sent) - before;
        return new Line("send").Add("connections", chosen.Count).Add("bytes", sent).Add("failed", chosen.Count(c => c.Sent < c.Goal))
            .AddSeconds("seconds", time).AddRate("rate", sent, time).AddFlag("complete", complete);
    }

    // Reads what is there and what comes, until the server's end: it is told that no more will be sent.
    private Line Read(Fleet fleet, Request request)
    {
        long wrong = fleet.Ledger.Wrong;
        List<NeverReader> chosen = [.. _neverReaders.Where(c => c.IsOpen)];
        long before = chosen.Sum(c => c.Received);
        long started = Stopwatch.GetTimestamp();
        foreach (NeverReader client in chosen)
        {
            client.ReadOn();
            client.FinishSending();
        }

        bool complete = fleet.Loop.RunUntil(All(chosen, c => !c.IsOpen), request.Timeout);
        return new Line("read").Add("connections", chosen.Count).Add("ended", chosen.Count(c => c.Outcome == Outcome.Ended))
            .Add("reset", chosen.Count(c => c.Outcome == Outcome.Reset)).Add("whole", chosen.Count(c => c.Received == c.Goal))
            .Add("sent", chosen.Sum(c => c.Sent)).Add("bytes", chosen.Sum(c => c.Received) - before)
            .Add("wrong", fleet.Ledger.Wrong - wrong).AddSeconds("seconds", Stopwatch.GetElapsedTime(started)).AddFlag("complete", complete);
    }

    private Line HalfClose(Request request)
    {
        List<EchoClient> chosen = Choose(request.Number("count", 0, int.MaxValue, 1), c => c.CanSend);
        foreach (EchoClient client in chosen)
        {
            client.FinishSending();
        }

        return new Line("halfclose").Add("connections", chosen.Count);
    }

    private Line Close(Fleet fleet, Request request)
    {
        List<EchoClient> chosen = Choose(request.Number("count", 0, int.MaxValue, 1), c => c.IsOpen);
        long started = Stopwatch.GetTimestamp();
        foreach (EchoClient client in chosen)
        {
            client.Close();
        }

        bool complete = fleet.Loop.RunUntil(All(chosen, c => !c.IsOpen), request.Timeout);
        return new Line("close").Add("connections", chosen.Count).Add("closed", chosen.Count(c => c.Outcome == Outcome.Closed))
            .Add("reset", chosen.Count(c => c.Outcome == Outcome.Reset)).AddSeconds("seconds", Stopwatch.GetElapsedTime(started))
            .AddFlag("complete", complete);
    }

    private Line Reset(Request request)
    {
        List<EchoClient> chosen = Choose(request.Number("count", 0, int.MaxValue, 1), c => c.IsOpen);
        foreach (EchoClient client in chosen)
        {
            client.Abort();
        }

        return new Line("reset").Add("connections", chosen.Count);
    }

    private static Line Wait(Fleet fleet, Request request)
    {
        int wanted = request.Number("ended", 0, 1, 0);
        Ledger ledger = fleet.Ledger;
        long started = Stopwatch.GetTimestamp();
        bool complete = fleet.Loop.RunUntil(() => ledger.Ended + ledger.Reset >= wanted, request.Timeout);
        return new Line("wait").Add("ended", ledger.Ended).Add("reset", ledger.Reset).Add("open", ledger.Open)
            .AddSeconds("seconds", Stopwatch.GetElapsedTime(started)).AddFlag("complete", complete);
    }

    private List<EchoClient> Choose(int count, Func<EchoClient, bool> suitable) => [.. _clients.Where(suitable).Take(count)];

    // Asked after each turn of the loop: it goes on from where it stopped, for what holds of a connection here holds for good.
    private static Func<bool> All<T>(List<T> clients, Func<T, bool> holds)
        where T : Client
    {
        int next = 0;
        return () =>
        {
            while (next < clients.Count && holds(clients[next]))
            {
                next++;
            }

            return next == clients.Count;
        };
    }
}
