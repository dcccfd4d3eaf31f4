using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>What the kernel sends besides events.</summary>
public class SignalTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Sending_to_a_peer_that_is_gone_is_a_reset_and_raises_no_SIGPIPE(bool endFirst)
    {
        using var received = new ManualResetEventSlim();
        using var gone = new ManualResetEventSlim();
        bool raised = false;
        var ends = new List<CloseReason>();
        var handler = new LambdaHandler
        {
            Received = (connection, _) =>
            {
                received.Set();
                gone.Wait(Eventually.Patience);

                // After an end and a reset send says EPIPE, which comes with the signal; after a reset alone, ECONNRESET.
                raised = Kernel.RaisesSignal(Kernel.SigPipe, () =>
                {
                    while (connection.Write(Keyed.Bytes(1, 1000), (_, reason) => ends.Add(reason)))
                    {
                    }
                });
            },
        };
        using var fixture = new ServerFixture(handler);
        TestClient client = fixture.Connect();
        client.Send([1]);
        Assert.True(received.Wait(Eventually.Patience, TestContext.Current.CancellationToken));
        if (endFirst)
        {
            client.EndSending();
        }

        client.Reset();
        gone.Set();
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.False(raised);
        Assert.Equal(CloseReason.Reset, handler.LastReason);
        Assert.Equal([CloseReason.Reset], ends);
    }

    [Fact]
    public void Signals_by_the_thousand_disturb_no_timeout_and_no_connection()
    {
        // Without a handler of the process's own a window's new size is ignored, and interrupts nothing.
        using PosixSignalRegistration registration = PosixSignalRegistration.Create((PosixSignal)Kernel.SigWinch, static context => context.Cancel = true);
        var handler = new LambdaHandler { Received = static (connection, data) => connection.Write(data) };
        using var fixture = new ServerFixture(handler, static options => options with { IdleTimeout = TimeSpan.FromMilliseconds(500) });
        Eventually.Equal(3, ProcessLedger.EngineThreads);
        int[] threads = [.. ProcessLedger.EngineThreadIds()];
        using TestClient active = fixture.Connect();
        using TestClient idle = fixture.Connect();
        idle.Echo(1, 10);
        var watch = Stopwatch.StartNew();
        int signals = 0;
        while (handler.ClosedCount == 0 && watch.Elapsed < Eventually.Patience)
        {
            foreach (int thread in threads)
            {
                Assert.Equal(0, Kernel.Signal(thread, Kernel.SigWinch));
                signals++;
            }

            active.Echo(signals, 100);
            if (idle.Socket.Poll(0, SelectMode.SelectRead))
            {
                // The end has come: its own one completes the close.
                idle.EndSending();
            }
        }

        Assert.Equal(CloseReason.IdleTimeout, handler.LastReason);
        Assert.InRange(watch.ElapsedMilliseconds, 400, 5000);
        Assert.True(signals > 100);
        active.Echo(2, 10);
    }

    [Fact]
    public void Stopped_and_continued_it_goes_on_and_what_came_due_meanwhile_is_done_at_once()
    {
        var handler = new LambdaHandler { Received = static (connection, data) => connection.Write(data) };
        using var fixture = new ServerFixture(
            handler,
            static options => options with { IdleTimeout = TimeSpan.FromMilliseconds(600), LingerTimeout = TimeSpan.FromMilliseconds(50) });
        using TestClient idle = fixture.Connect();
        idle.Echo(1, 10);
        var watch = Stopwatch.StartNew();

        // By a child, as one that is stopped cannot continue itself.
        using (Process child = Process.Start("sh", ["-c", $"kill -STOP {Environment.ProcessId}; sleep 1; kill -CONT {Environment.ProcessId}"]))
        {
            Assert.True(child.WaitForExit((int)Eventually.Patience.TotalMilliseconds));
        }

        Assert.InRange(watch.ElapsedMilliseconds, 900, 10_000);
        watch.Restart();
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.InRange(watch.Ran.TotalMilliseconds, 0, 500);
        Assert.Equal(CloseReason.IdleTimeout, handler.LastReason);
        using TestClient after = fixture.Connect();
        after.Echo(2, 1000);
    }
}
