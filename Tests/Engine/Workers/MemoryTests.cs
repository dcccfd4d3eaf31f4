using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>The engine and the garbage collector.</summary>
public class MemoryTests
{
    [Fact]
    public void A_collector_that_moves_everything_all_the_time_costs_no_byte_and_no_callback()
    {
        const int Rounds = 200;
        const int Clients = 8;
        const int Size = 20_000;
        using var stop = new CancellationTokenSource();
        int written = 0;
        var collector = new Thread(() =>
        {
            // Holes to move things into.
            var garbage = new byte[64][];
            for (int i = 0; !stop.IsCancellationRequested; i++)
            {
                garbage[i % garbage.Length] = new byte[1000 * (i % 80)];
                GC.Collect(i % 3, GCCollectionMode.Forced, blocking: true, compacting: true);

                // One that never pauses leaves it to the scheduler's luck whether anybody else runs at all.
                int seen = Volatile.Read(ref written);
                SpinWait.SpinUntil(() => Volatile.Read(ref written) != seen, millisecondsTimeout: 1);
            }
        });
        using var fixture = new ServerFixture(() =>
        {
            // Delegates that nobody but the engine holds, and output that is queued, as it is more than a socket takes.
            ReadCallback read = null!;
            read = (connection, data, reason) =>
            {
                if (reason == CloseReason.None)
                {
                    int length = data.Length;
                    connection.Write(data, (_, sent) => Interlocked.Add(ref written, sent == CloseReason.None ? length : 0));
                    connection.Read(Size, read);
                }
            };
            return new LambdaHandler { Opened = connection => connection.Read(Size, read) };
        });
        List<TestClient> clients = [.. Enumerable.Range(0, Clients).Select(_ => fixture.Connect(receiveBuffer: 4096))];
        collector.Start();
        var failures = new System.Collections.Concurrent.ConcurrentQueue<Exception>();
        List<Thread> threads = [.. clients.SelectMany((client, key) => new[]
        {
            Guarded(() => client.Send(Keyed.Bytes(key, Rounds * Size))),
            Guarded(() => Keyed.Verify(key, client.Receive(Rounds * Size))),
        })];
        threads.ForEach(static thread => thread.Start());
        bool ended = threads.TrueForAll(static thread => thread.Join(2 * Eventually.Patience));
        stop.Cancel();
        collector.Join();
        Assert.True(ended, "not all has come in time");
        Assert.Empty(failures);
        Eventually.Equal(Rounds * Clients * Size, () => Volatile.Read(ref written));
        clients.ForEach(static client => client.Dispose());

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

    [Theory]
    [InlineData("OnReceived")]
    [InlineData("Write with a callback")]
    [InlineData("Read")]
    [InlineData("ReadUntil")]
    [InlineData("Framing")]
    [InlineData("Framing, a message in two packets")]
    [InlineData("Framing, two hundred messages a packet")]
    public void In_steady_state_a_hundred_thousand_messages_allocate_nothing(string way)
    {
        const int Messages = 100_000;
        const int WarmUp = 5_000;
        const int Clients = 4;
        bool framed = way.StartsWith("Framing", StringComparison.Ordinal);
        int messages = 0;
        long begun = 0;
        long allocated = -1;
        WriteCallback sent = static (_, _) => { };
        ReadCallback read = null!;
        read = (connection, data, reason) =>
        {
            if (reason == CloseReason.None)
            {
                Echo(connection, data);
                Ask(connection);
            }
        };
        var handler = new LambdaHandler
        {
            Opened = connection =>
            {
                if (way is "Read" or "ReadUntil")
                {
                    Ask(connection);
                }
            },
            Received = Echo,
        };
        using var fixture = new ServerFixture(
            handler, options => options with { WorkerCount = 1, Framing = framed ? Framing.Line : Framing.Raw });
        List<TestClient> clients = [.. Enumerable.Range(0, Clients).Select(_ => fixture.Connect())];
        bool lines = framed || way == "ReadUntil";
        int perPacket = way.Contains("two hundred", StringComparison.Ordinal) ? 200 : 1;
        byte[] message = lines ? [.. Enumerable.Repeat((byte)'x', 99), (byte)'\n'] : Keyed.Bytes(1, 100);
        byte[] packet = [.. Enumerable.Repeat(message, perPacket).SelectMany(static bytes => bytes)];
        int cut = way.Contains("two packets", StringComparison.Ordinal) ? 60 : packet.Length;
        int answer = (lines ? 99 : 100) * perPacket;
        var buffer = new byte[answer];
        long rounds = 0;
        while (Volatile.Read(ref allocated) < 0)
        {
            foreach (TestClient client in clients)
            {
                client.Send(packet.AsSpan(0, cut));
            }

            if (cut < packet.Length)
            {
                // The ends must not catch up with the beginnings.
                rounds++;
                long received = Clients * (((rounds - 1) * packet.Length) + cut);
                Assert.True(SpinWait.SpinUntil(() => fixture.Server.BytesReceived == received, Eventually.Patience));
                foreach (TestClient client in clients)
                {
                    client.Send(packet.AsSpan(cut));
                }
            }

            foreach (TestClient client in clients)
            {
                for (int n = 0; n < answer;)
                {
                    n += client.Socket.Receive(buffer, answer - n, System.Net.Sockets.SocketFlags.None);
                }
            }
        }

        clients.ForEach(static client => client.Dispose());

        // Not one object: a single one per message would be millions of bytes. A queue may grow once.
        Assert.InRange(allocated, 0, 100);

        void Echo(Connection connection, ReadOnlySpan<byte> data)
        {
            connection.Write(data, way is "OnReceived" || framed ? null : sent);
            if (++messages == WarmUp)
            {
                begun = GC.GetAllocatedBytesForCurrentThread();
            }
            else if (messages == WarmUp + Messages)
            {
                Volatile.Write(ref allocated, GC.GetAllocatedBytesForCurrentThread() - begun);
            }
        }

        void Ask(Connection connection)
        {
            if (way == "ReadUntil")
            {
                connection.ReadUntil("\n"u8, 1000, read);
            }
            else
            {
                connection.Read(100, read);
            }
        }
    }
}
