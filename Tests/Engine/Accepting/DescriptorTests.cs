using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using C10kServer.Engine.Handlers;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>Whose a descriptor is, and for how long.</summary>
public class DescriptorTests
{
    [Fact]
    public void A_descriptor_is_its_connections_own_until_the_turn_is_over()
    {
        // Closed any earlier, its number could be a stranger's while events and callbacks for the old owner are still to come.
        var seen = new List<(string? Before, string? After)>();
        string? before = null;
        var handler = new LambdaHandler
        {
            Opened = connection => before = Target(connection.Fd),
            Received = (connection, _) =>
            {
                connection.Abort();
                seen.Add((before, Target(connection.Fd)));
            },
            Closed = connection => seen.Add((before, Target(connection.Fd))),
        };
        using var fixture = new ServerFixture(handler, static options => options with { WorkerCount = 1 });
        for (int i = 0; i < 10; i++)
        {
            using TestClient client = fixture.Connect();
            client.Send([1]);
            client.AssertReset();
        }

        Eventually.Equal(10, () => fixture.Server.Closed);
        Assert.Equal(20, seen.Count);
        Assert.All(seen, static pair =>
        {
            Assert.StartsWith("socket:", pair.Before, StringComparison.Ordinal);
            Assert.Equal(pair.Before, pair.After);
        });
    }

    [Fact]
    public void Connections_closed_within_a_batch_get_nothing_of_it_and_those_that_reuse_their_descriptors_lose_nothing()
    {
        const int Count = 50;
        using var go = new ManualResetEventSlim();
        using var closed = new ManualResetEventSlim();
        using var reused = new ManualResetEventSlim();
        var victims = new HashSet<Connection>();
        var late = new List<long>();
        var echo = new LambdaHandler { Received = static (connection, data) => connection.Write(data) };
        var batch = new LambdaHandler
        {
            Opened = connection =>
            {
                if (connection.Worker.Id == 0)
                {
                    victims.Add(connection);
                }
            },
            Received = (connection, data) =>
            {
                if (data[0] == 1)
                {
                    // The events of all the others are made up by the time that this returns.
                    Assert.True(go.Wait(Eventually.Patience));
                }
                else if (!closed.IsSet)
                {
                    // The first one of that batch: the rest of it is for connections that are over.
                    victims.Remove(connection);
                    foreach (Connection victim in victims)
                    {
                        victim.Abort();
                    }

                    closed.Set();
                    Assert.True(reused.Wait(Eventually.Patience));
                }
                else if (victims.Contains(connection))
                {
                    late.Add(connection.Id);
                }
            },
        };

        // Two workers, because the thread that accepts is then neither of them: the batch holds worker 0, and accepting goes on.
        int made = 0;
        using var fixture = new ServerFixture(
            () => Interlocked.Increment(ref made) <= 2 * Count ? batch : echo,
            static options => options with { WorkerCount = 2, Dispatch = DispatchMode.RoundRobin });
        List<TestClient> clients = [.. Enumerable.Range(0, 2 * Count).Select(_ => fixture.Connect())];
        Eventually.Equal(2 * Count, () => batch.OpenedCount);
        HashSet<EndPoint> there = [.. fixture.Rows().Where(static row => row.Worker == 0).Select(static row => row.RemoteEndPoint)];
        List<TestClient> held = [.. clients.Where(client => there.Contains(client.Socket.LocalEndPoint!))];
        Assert.Equal(Count, held.Count);
        held[0].Send([1]);
        Eventually.True(() => fixture.Server.GetWorkers()[0].State == WorkerState.Stalled);
        held.Skip(1).ToList().ForEach(static client => client.Send([2]));
        go.Set();
        Assert.True(closed.Wait(Eventually.Patience, TestContext.Current.CancellationToken));

        // New ones are accepted while that batch goes on: a number that was given back too early is theirs.
        List<TestClient> strangers = [.. Enumerable.Range(0, 2 * Count).Select(_ => fixture.Connect())];
        for (int i = 0; i < strangers.Count; i++)
        {
            strangers[i].Send(Keyed.Bytes(i, 3000));
        }

        Eventually.Equal(4 * Count, () => fixture.Server.Accepted);
        Assert.Equal(0, fixture.Server.Closed);
        reused.Set();
        for (int i = 0; i < strangers.Count; i++)
        {
            Keyed.Verify(i, strangers[i].Receive(3000));
            strangers[i].Echo(i, 500);
        }

        Assert.Empty(late);
        clients.ForEach(static client => client.Dispose());
        strangers.ForEach(static client => client.Dispose());
    }

    [Fact]
    public void Closing_from_many_threads_while_all_are_busy_ends_those_that_were_named_and_no_other()
    {
        const int Closers = 3;
        var handler = new LambdaHandler { Received = static (connection, data) => connection.Write(data) };
        using var fixture = new ServerFixture(handler);
        using var stop = new CancellationTokenSource();
        List<TestClient> bystanders = [.. Enumerable.Range(0, 8).Select(_ => fixture.Connect())];
        HashSet<long> spared = [];
        Eventually.True(() => (spared = [.. fixture.Rows().Select(static row => row.Id)]).Count == 8);
        var failures = new System.Collections.Concurrent.ConcurrentQueue<Exception>();
        int hits = 0;
        int ended = 0;
        List<Thread> threads =
        [
            .. Enumerable.Range(0, 4).Select(part => Guarded(() =>
            {
                for (int round = 0; !stop.IsCancellationRequested; round++)
                {
                    bystanders[2 * part].Echo(round, 2000);
                    bystanders[(2 * part) + 1].Echo(round, 20);
                }
            })),
            .. Enumerable.Range(0, 4).Select(part => Guarded(() =>
            {
                // Echoes until somebody closes it; then as a new one, on a descriptor that was somebody's.
                while (!stop.IsCancellationRequested)
                {
                    using TestClient victim = fixture.Connect();
                    EchoToTheEnd(victim, part, stop.Token);
                    Interlocked.Increment(ref ended);
                }
            })),
            .. Enumerable.Range(0, Closers).Select(closer => Guarded(() =>
            {
                for (int round = 0; !stop.IsCancellationRequested; round++)
                {
                    foreach (ConnectionInfo row in fixture.Rows().Where(row => !spared.Contains(row.Id)))
                    {
                        // Twice: the second one finds it closing, or gone, or its descriptor in a stranger's hands.
                        ConnectionAction action = (round + closer) % 2 == 0 ? ConnectionAction.Close : ConnectionAction.Reset;
                        var target = new ConnectionRef(row.Id, row.Worker, row.Slot);
                        if (fixture.Server.TryAct(target, action, Eventually.Patience, default, out ConnectionInfo? after))
                        {
                            Assert.Equal(row.Id, after.Id);
                            Interlocked.Increment(ref hits);
                        }

                        _ = fixture.Server.TryAct(target, ConnectionAction.Reset, Eventually.Patience, default, out _);
                    }
                }
            })),
        ];
        threads.ForEach(static thread => thread.Start());
        Eventually.True(() => (Volatile.Read(ref hits) > 1000 && Volatile.Read(ref ended) > 500) || !failures.IsEmpty);
        stop.Cancel();
        threads.ForEach(static thread => Assert.True(thread.Join(Eventually.Patience)));
        Assert.Empty(failures);
        bystanders.ForEach(static client => client.Dispose());
        Eventually.Equal(0, () => fixture.Server.ConnectionCount);
        Assert.Equal(handler.OpenedCount, handler.ClosedCount);

        Thread Guarded(Action body) => new(() =>
        {
            try
            {
                body();
            }
            catch (Exception e)
            {
                failures.Enqueue(e);
            }
        });
    }

    [Fact]
    public void A_duplicate_of_a_closed_connections_descriptor_gives_no_further_events()
    {
        int duplicate = -1;
        var handler = new LambdaHandler
        {
            Opened = connection => duplicate = Kernel.Duplicate(connection.Fd),
            Received = static (connection, _) => connection.Abort(),
        };
        using var fixture = new ServerFixture(handler, static options => options with { WorkerCount = 1 });
        using TestClient client = fixture.Connect();
        client.Send([1]);
        Eventually.Equal(1, () => fixture.Server.Closed);
        Assert.True(duplicate >= 0);
        try
        {
            // The duplicate keeps the socket open, and this in it: readable for ever.
            long events = Events();
            client.Send(new byte[1000]);
            Thread.Sleep(250);
            Assert.InRange(Events() - events, 0, 5);
        }
        finally
        {
            Assert.Equal(0, Kernel.Close(duplicate));
        }

        long Events() => fixture.Server.GetWorkers()[0].Events;
    }

    [Fact]
    public void Every_descriptor_of_the_engine_closes_on_exec()
    {
        // The runtime's own are made with the ledger's first use, which may be this test's.
        _ = ProcessLedger.Descriptors();
        HashSet<int> before = [.. Sockets()];
        using var fixture = new ServerFixture(new EchoHandler());
        using TestClient client = fixture.Connect();
        client.Echo(1, 10);
        List<int> ours = [.. Sockets().Where(fd => !before.Contains(fd))];

        // Three epolls and three eventfds, the listening socket, both ends of the connection.
        Assert.True(9 + DescriptorReserve.Count == ours.Count, string.Join(", ", ours.Select(static fd => $"{fd} {Target(fd)}")));
        Assert.All(ours, static fd =>
        {
            string flags = File.ReadLines($"/proc/self/fdinfo/{fd}").Single(static line => line.StartsWith("flags:", StringComparison.Ordinal));
            const int CloseOnExec = 0x80000;
            Assert.Equal(CloseOnExec, Convert.ToInt32(flags[6..].Trim(), 8) & CloseOnExec);
        });
    }

    [Fact]
    public void A_child_process_inherits_nothing_and_the_end_is_seen_though_it_lives_on()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        using TestClient client = fixture.Connect();
        client.Echo(1, 10);
        var start = new ProcessStartInfo("sh") { RedirectStandardInput = true, RedirectStandardOutput = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add("ls -l /proc/$$/fd; echo listed; read line");
        using Process child = Process.Start(start)!;
        var listing = new List<string>();
        while (child.StandardOutput.ReadLine() is { } line && line != "listed")
        {
            listing.Add(line);
        }

        Assert.Contains(listing, static line => line.Contains("pipe:", StringComparison.Ordinal));
        Assert.DoesNotContain(listing, static line => line.Contains("socket:", StringComparison.Ordinal) || line.Contains("[event", StringComparison.Ordinal));
        fixture.Server.Stop();
        Assert.Empty(client.ReceiveToEnd());
        Assert.False(child.HasExited);
        child.StandardInput.WriteLine();
        Assert.True(child.WaitForExit((int)Eventually.Patience.TotalMilliseconds));
    }

    private static string? Target(int fd) => new FileInfo($"/proc/self/fd/{fd}").LinkTarget;

    private static List<int> Sockets() => [.. Directory.GetFileSystemEntries("/proc/self/fd")
        .Select(static link => int.Parse(Path.GetFileName(link), CultureInfo.InvariantCulture))
        .Where(static fd => Target(fd) is { } target
            && (target.StartsWith("socket:", StringComparison.Ordinal) || target.Contains("[event", StringComparison.Ordinal)))];

    private static void EchoToTheEnd(TestClient client, int key, CancellationToken stop)
    {
        var buffer = new byte[500];
        try
        {
            for (int offset = 0; !stop.IsCancellationRequested; offset += buffer.Length)
            {
                client.Send(Keyed.Bytes(key, buffer.Length, offset));
                for (int received = 0; received < buffer.Length;)
                {
                    int n = client.Socket.Receive(buffer, received, buffer.Length - received, SocketFlags.None);
                    if (n == 0)
                    {
                        return;
                    }

                    Keyed.Verify(key, buffer.AsSpan(received, n), offset + received);
                    received += n;
                }
            }
        }
        catch (SocketException)
        {
            // It was closed: that is what this is about.
        }
    }
}
