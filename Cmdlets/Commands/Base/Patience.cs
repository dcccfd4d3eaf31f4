using System.Diagnostics;
using System.Management.Automation;

namespace C10kServer.Commands;

/// <summary>
/// A wait on the pipeline's thread, with a deadline. It looks at the state from time to time, so that the engine does not have to report
/// changes. It ends at Ctrl+C, and shows progress once it takes longer than a second.
/// </summary>
internal sealed class Patience(Cmdlet cmdlet, string activity, TimeSpan timeout, CancellationToken stop)
{
    // The pause between two looks. Nobody notices this delay, and the looks cost almost nothing.
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(15);

    private static readonly TimeSpan ShownAfter = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan ShownEvery = TimeSpan.FromMilliseconds(200);

    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private TimeSpan _showAt = ShownAfter;

    /// <summary>The time that is left until the deadline. Never negative.</summary>
    internal TimeSpan Left => _watch.Elapsed < timeout ? timeout - _watch.Elapsed : TimeSpan.Zero;

    /// <summary>Waits for a moment. Returns false if the deadline has come.</summary>
    /// <param name="describe">The progress to show: the status, and the percentage that is done, or -1 if that is not known.</param>
    /// <exception cref="PipelineStoppedException">The user pressed Ctrl+C.</exception>
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

    /// <summary>Removes the progress that was shown.</summary>
    internal void End()
    {
        if (_showAt > ShownAfter)
        {
            cmdlet.WriteProgress(new ProgressRecord(0, activity, "Done") { RecordType = ProgressRecordType.Completed });
        }
    }
}
