using C10kServer.Engine.Handlers;

namespace C10kServer.Faults.Tests;

/// <summary>A load generator whose process is stopped, tried in a shell of its own: see LoadStandstill.ps1.</summary>
public class LoadStandstillTests
{
    private static readonly TimeSpan Stop = TimeSpan.FromSeconds(4);

    [Fact]
    public async Task After_the_process_was_stopped_no_answer_that_came_meanwhile_counts_as_late()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        bool wasStopped = false;
        while (!wasStopped)
        {
            long before = fixture.Server.MessagesReceived;
            using ShellProcess shell = ShellProcess.Start("LoadStandstillScript", [$"{fixture.EndPoint.Port}"], static _ => { });
            Eventually.True(() => fixture.Server.MessagesReceived > before + 10_000 || shell.HasEnded);
            shell.Signal("STOP");

            // On a machine that stands still the load may be over by now. Then nothing was stopped, and the load begins again.
            wasStopped = !shell.HasEnded;
            if (wasStopped)
            {
                // The condition is the time itself: it is longer than the timeout of the load.
                Thread.Sleep(Stop);
                shell.Signal("CONT");
            }

            await shell.AssertOk();
        }

        Eventually.Equal(0, () => fixture.Server.ConnectionCount);
    }
}
