using System.Net.Sockets;

namespace C10kServer.Faults.Tests;

/// <summary>Descriptors run out for real: the limit of the live process is lowered.</summary>
public class DescriptorLimitTests
{
    private const int Spare = 40;

    [Fact]
    public void Without_descriptors_others_go_on_nothing_spins_and_accepting_recovers()
    {
        // Once with the limit as it is, so that all that it needs is loaded.
        RunOut(lower: false);
        RunOut(lower: true);
    }

    [Fact]
    public void Without_descriptors_starting_says_so_and_leaves_nothing_behind()
    {
        TryStart(lower: false);
        Exception? thrown = TryStart(lower: true);
        var e = Assert.IsType<ServerStartException>(thrown);
        Assert.Equal(StartFailure.DescriptorLimit, e.Failure);
        Assert.Contains("ulimit", e.Message, StringComparison.Ordinal);
        Shim.AssertNothingLeft();
        Assert.Null(TryStart(lower: false));
    }

    [Fact]
    public void While_connections_take_what_descriptors_there_are_the_process_can_always_open_a_file()
    {
        // Once with the limit as it is, so that all that it needs is loaded.
        FillUp(lower: false);
        FillUp(lower: true);
    }

    [Fact]
    public void Without_a_server_no_spare_descriptors_are_taken()
    {
        Shim.Require();
        Shim.Forget();
        int before = ProcessLedger.Descriptors();
        try
        {
            Assert.Equal(0, DescriptorReserve.TryTake());
            Assert.False(DescriptorReserve.AreHeld);
            Assert.Equal(before, ProcessLedger.Descriptors());
        }
        finally
        {
            DescriptorReserve.Release();
        }
    }

    private static void FillUp(bool lower)
    {
        using var faulty = new FaultyServer();
        using (var first = new TestClient(faulty.EndPoint))
        {
            first.Echo(1, 100);
        }

        Eventually.Equal(0, () => faulty.Server.ConnectionCount);

        // Made before: they are descriptors of this process, too.
        List<Socket> clients = [.. Enumerable.Range(0, 60).Select(static _ => MakeSocket())];
        bool stop = false;
        long opened = 0;
        Exception? failure = null;
        var opener = new Thread(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                try
                {
                    File.OpenHandle("/dev/null").Dispose();
                    opened++;
                }
                catch (Exception e)
                {
                    failure ??= e;
                }
            }
        }) { IsBackground = true };
        // Until the acceptor counts the free descriptors again.
        var watch = Stopwatch.StartNew();
        Eventually.True(() => watch.ElapsedMilliseconds > 2 * Acceptor.RoomMilliseconds);
        try
        {
            using (new DescriptorLimit(lower, Spare))
            {
                opener.Start();
                Eventually.True(() => Volatile.Read(ref opened) > 100 || failure is not null);
                clients.ForEach(client => client.Connect(faulty.EndPoint));
                if (lower)
                {
                    Eventually.True(() => faulty.Server.AcceptErrors > 10);

                    // A part of the margin may be gone, because the opener's file comes and goes while descriptors are counted.
                    Assert.InRange(faulty.Server.ConnectionCount, 1, Spare - (DescriptorReserve.Margin / 2));
                }

                Volatile.Write(ref stop, true);
                opener.Join();
            }

            Eventually.Equal(clients.Count, () => faulty.Server.ConnectionCount);
            Assert.Null(failure);
        }
        finally
        {
            Volatile.Write(ref stop, true);
            clients.ForEach(static client => client.Dispose());
        }
    }

    private static void RunOut(bool lower)
    {
        using var faulty = new FaultyServer();
        using var bystander = Visitor.Bystander(faulty.EndPoint, mayBeHit: false);
        Eventually.True(() => bystander.Rounds > 10);
        var acceptor = EngineCpu.Acceptor();

        // Made before: they are descriptors of this process, too.
        using Socket waiting = MakeSocket();
        var buffer = new byte[1000];
        double load;
        long failures;
        Stopwatch recovery;
        using (new DescriptorLimit(lower))
        {
            var watch = Stopwatch.StartNew();
            TimeSpan cpu = acceptor.Time();
            waiting.Connect(faulty.EndPoint);
            waiting.Send(Keyed.Bytes(1, buffer.Length));
            int rounds = bystander.Rounds;
            Eventually.True(() => watch.ElapsedMilliseconds > 1300 && bystander.Rounds > rounds + 10);
            load = (acceptor.Time() - cpu) / watch.Elapsed;
            failures = faulty.Server.AcceptErrors;
            recovery = Stopwatch.StartNew();
        }

        for (int received = 0; received < buffer.Length;)
        {
            int n = waiting.Receive(buffer, received, buffer.Length - received, SocketFlags.None);
            Assert.True(n > 0, "the end came before the answer");
            received += n;
        }

        Keyed.Verify(1, buffer);
        Assert.True(recovery.Ran < FaultyServer.Recovery, $"accepting recovered after {recovery.Elapsed}");
        faulty.AssertServes();
        bystander.End();
        Assert.True(load < 0.05, $"the acceptor took {load:P0} of a core");
        if (lower)
        {
            Assert.InRange(failures, 2, 50);
            AcceptFaultTests.AssertLoggedOnceASecond(faulty.LoggedAcceptErrors, atLeast: 2);
        }
        else
        {
            Assert.Equal(0, failures);
        }
    }

    private static Exception? TryStart(bool lower)
    {
        Shim.Require();
        Shim.Forget();
        using var server = new Server(new ServerOptions { Name = "f", HandlerFactory = static () => new CountingEcho() });
        using var limit = new DescriptorLimit(lower);
        return Record.Exception(server.Start);
    }

    private static Socket MakeSocket() => new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)
    {
        NoDelay = true,
        ReceiveTimeout = (int)Eventually.Patience.TotalMilliseconds,
    };
}
