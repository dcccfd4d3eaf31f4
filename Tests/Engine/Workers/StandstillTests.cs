using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>
/// After the process or a worker has stood still, timeouts have passed and bytes wait in the kernel that came before. These come first
/// (pitfall 64).
/// </summary>
public sealed class StandstillTests
{
    private const int Clients = 50;

    // The clients are another process's: they go on while this one is stopped. Each greets, and is echoed; what the case asks for comes while
    // the server stands still.
    private const string Script = """
        pid=$1 port=$2 greeting=$3 late=$4
        begun=${EPOCHREALTIME/./}
        for ((i = 0; i < 50; i++)); do
            exec {fd}<>"/dev/tcp/127.0.0.1/$port" && fds+=("$fd")
        done
        if [[ $greeting ]]; then
            for fd in "${fds[@]}"; do printf "$greeting" >&"$fd"; done
            for fd in "${fds[@]}"; do read -r -t 20 -u "$fd"; done
        fi
        kill -STOP "$pid"
        echo $(((${EPOCHREALTIME/./} - begun) / 1000))
        sleep 4
        for fd in "${fds[@]}"; do printf "$late" >&"$fd"; done
        kill -CONT "$pid"
        for fd in "${fds[@]}"; do read -r -t 20 -u "$fd" line && [[ $line ]] && ((answers++)); done
        echo "${answers:-0}"
        """;

    [Theory]
    [InlineData(CloseReason.IdleTimeout, "hello\\n", "late\\n")]
    [InlineData(CloseReason.MessageTimeout, "hello\\nla", "te\\n")]
    [InlineData(CloseReason.HandshakeTimeout, "", "late\\n")]
    public void After_the_process_was_stopped_what_came_meanwhile_is_answered(CloseReason timeout, string greeting, string late)
    {
        var limit = TimeSpan.FromSeconds(3);
        var handler = new LambdaHandler { Received = static (connection, line) => connection.Write([.. line, (byte)'\n']) };
        using var fixture = new ServerFixture(handler, options => (options with { Framing = Framing.Line, WorkerCount = 1 }) with
        {
            IdleTimeout = timeout == CloseReason.IdleTimeout ? limit : default,
            MessageTimeout = timeout == CloseReason.MessageTimeout ? limit : default,
            HandshakeTimeout = timeout == CloseReason.HandshakeTimeout ? limit : default,
        });
        while (true)
        {
            var start = new ProcessStartInfo("bash") { RedirectStandardOutput = true };
            string[] arguments = ["-c", Script, "clients", $"{Environment.ProcessId}", $"{fixture.EndPoint.Port}", greeting, late];
            Array.ForEach(arguments, start.ArgumentList.Add);
            using Process clients = Process.Start(start)!;
            int preparing = int.Parse(clients.StandardOutput.ReadLine()!, CultureInfo.InvariantCulture);
            int answers = int.Parse(clients.StandardOutput.ReadLine()!, CultureInfo.InvariantCulture);
            Assert.True(clients.WaitForExit((int)Eventually.Patience.TotalMilliseconds));
            if (preparing < limit.TotalMilliseconds / 2)
            {
                Assert.Equal(Clients, answers);
                return;
            }

            // The machine is so busy that they were late before the stop: that says nothing.
        }
    }

    [Fact]
    public void After_a_handler_that_blocked_its_worker_more_clients_than_a_batch_has_are_all_answered()
    {
        const int Many = 1_499;
        using var blocked = new ManualResetEventSlim();
        using var go = new ManualResetEventSlim();
        var handler = new LambdaHandler
        {
            Received = (connection, data) =>
            {
                if (data.Length == 2)
                {
                    blocked.Set();
                    Assert.True(go.Wait(Eventually.Patience));
                }
                else
                {
                    connection.Write(data);
                }
            },
        };
        using var fixture = new ServerFixture(handler, static options => options with { WorkerCount = 1 });
        using TestClient blocker = fixture.Connect();
        List<TestClient> clients = [.. Enumerable.Range(0, Many).Select(_ => fixture.Connect())];
        Eventually.Equal(Many + 1, () => fixture.Server.ConnectionCount);
        Eventually.Equal(Many + 1, () => handler.OpenedCount);
        blocker.Send([1, 2]);
        Assert.True(blocked.Wait(Eventually.Patience, TestContext.Current.CancellationToken));

        // The worker reads it after the block: all are over their time then, and all have bytes waiting.
        Assert.True(fixture.Server.Reconfigure(fixture.Server.Options with { IdleTimeout = TimeSpan.FromMilliseconds(300) }));
        clients.ForEach(static client => client.Send([7]));
        Thread.Sleep(600);
        go.Set();
        int answers = clients.Count(static client => client.ReceiveToEnd().Length == 1);
        clients.ForEach(static client => client.Dispose());
        Assert.Equal(Many, answers);
    }

    [Fact]
    public void A_client_that_is_answered_late_in_a_turn_has_the_whole_idle_timeout_from_then_on()
    {
        var idle = TimeSpan.FromMilliseconds(600);
        using var go = new ManualResetEventSlim();
        long ended = 0;
        var handler = new LambdaHandler
        {
            Received = (connection, data) =>
            {
                if (data[0] == 1)
                {
                    Assert.True(go.Wait(Eventually.Patience));
                }
                else if (data[0] == 2)
                {
                    Thread.Sleep(idle * 1.5);
                    ended = Stopwatch.GetTimestamp();
                }
                else
                {
                    connection.Write(data);
                }
            },
        };
        using var fixture = new ServerFixture(handler, options => options with { WorkerCount = 1, IdleTimeout = idle });
        using TestClient first = fixture.Connect();
        using TestClient second = fixture.Connect();
        using TestClient third = fixture.Connect();
        Eventually.Equal(3, () => handler.OpenedCount);
        first.Send([1]);

        // These two are of one batch, in this order.
        second.Send([2]);
        third.Send([3]);
        Thread.Sleep(50);
        go.Set();
        Assert.Equal([3], third.ReceiveToEnd());
        Assert.InRange(Stopwatch.GetElapsedTime(ended), idle, TimeSpan.MaxValue);
    }

    [Fact]
    public void A_message_whose_rest_waits_in_the_kernel_is_read_to_its_end_before_it_is_late()
    {
        // More than a receive or two take, less than a Unix socket holds.
        const int Size = 150_000;
        using var blocked = new ManualResetEventSlim();
        using var go = new ManualResetEventSlim();
        DirectoryInfo folder = Directory.CreateTempSubdirectory("c10k");
        try
        {
            int length = 0;
            var handler = new LambdaHandler
            {
                Received = (_, line) =>
                {
                    if (line.Length == 1)
                    {
                        blocked.Set();
                        Assert.True(go.Wait(Eventually.Patience));
                    }
                    else
                    {
                        length = line.Length;
                    }
                },
            };
            string path = Path.Combine(folder.FullName, "s");
            using var fixture = new ServerFixture(handler, options => options with
            {
                WorkerCount = 1, Addresses = [], UnixPath = path, Framing = Framing.Line, MessageTimeout = TimeSpan.FromMilliseconds(500),
            });
            using Socket blocker = Connect(path);
            using Socket client = Connect(path);
            Eventually.Equal(2, () => handler.OpenedCount);
            client.Send("x"u8);

            // The message has begun in a turn of its own: one that begins in the turn that is held up is as old as the end of that turn.
            Eventually.True(() => fixture.Rows().Any(static row => row.BytesReceived == 1 && row.IdleTime > TimeSpan.FromMilliseconds(50)));
            blocker.Send("b\n"u8);
            Assert.True(blocked.Wait(Eventually.Patience, TestContext.Current.CancellationToken));
            byte[] rest = Keyed.Bytes(1, Size);
            rest.AsSpan().Replace((byte)'\n', (byte)0);
            rest[^1] = (byte)'\n';
            Assert.Equal(Size, client.Send(rest));
            Thread.Sleep(1000);
            go.Set();
            Eventually.Equal(Size, () => Volatile.Read(ref length));
            client.Close();
            blocker.Close();
            Eventually.Equal(2, () => fixture.Server.GetClosed().Count);
            Assert.All(fixture.Server.GetClosed(), static row => Assert.Equal(CloseReason.PeerClosed, row.CloseReason));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static Socket Connect(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(path));
        return socket;
    }
}
