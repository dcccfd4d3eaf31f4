using System.Diagnostics;
using System.Management.Automation;

namespace C10kServer.Commands;

/// <summary>
/// A wait on the pipeline's thread, with a deadline. Looks now and then, so that the engine need not tell; ends at Ctrl+C; and shows
/// how it goes once it takes longer than a second.
/// </summary>
internal sealed class Patience(Cmdlet cmdlet, string activity, TimeSpan timeout, CancellationToken stop)
{
    // Between two looks: nobody notices it, and it costs next to nothing.
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(15);

    private static readonly TimeSpan ShownAfter = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan ShownEvery = TimeSpan.FromMilliseconds(200);

    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private TimeSpan _showAt = ShownAfter;

    /// <summary>What is left until the deadline, and no less than nothing.</summary>
    internal TimeSpan Left => _watch.Elapsed < timeout ? timeout - _watch.Elapsed : TimeSpan.Zero;

    /// <summary>Waits a moment. False: the deadline has come.</summary>
    /// <param name="describe">What to show: how it stands, and how much of it is done, -1 where that cannot be told.</param>
    /// <exception cref="PipelineStoppedException">Ctrl+C.</exception>
    internal bool Wait(Func<(string Status, int Percent)> describe)
    {
        TimeSpan left = Left;
        if (left == TimeSpan.Zero)
        {
            return false;
        }

        if (_watch.Elapsed >= _showAt)
        {
            _showAt = _watch.Elapsed + ShownEvery;
            (string status, int percent) = describe();
            cmdlet.WriteProgress(new ProgressRecord(0, activity, status)
            {
                PercentComplete = percent,
                SecondsRemaining = (int)Math.Min(int.MaxValue, Math.Ceiling(left.TotalSeconds)),
            });
        }

        if (stop.WaitHandle.WaitOne(left < Pause ? left : Pause))
        {
            throw new PipelineStoppedException();
        }

        return true;
    }

    /// <summary>Takes away what was shown.</summary>
    internal void End()
    {
        if (_showAt > ShownAfter)
        {
            cmdlet.WriteProgress(new ProgressRecord(0, activity, "Done") { RecordType = ProgressRecordType.Completed });
        }
    }
}
