using System.Runtime.CompilerServices;
using C10kServer.Tests.Shared;

namespace C10kServer.Engine.Tests.Support;

/// <summary>Polls a condition to a deadline: no test waits for a fixed time.</summary>
internal static class Eventually
{
    /// <summary>Longer than a minute in which the machine stands still: also sockets, joins and events wait for it, whose clock runs on.</summary>
    internal static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    /// <returns>How long it took.</returns>
    internal static TimeSpan True(Func<bool> condition, [CallerArgumentExpression(nameof(condition))] string what = "") =>
        True(condition, () => what);

    /// <returns>How long it took.</returns>
    internal static TimeSpan True(Func<bool> condition, Func<string> what)
    {
        var watch = RunningWatch.StartNew();
        while (!condition())
        {
            if (watch.Elapsed > Patience)
            {
                Assert.Fail($"not within {Patience.TotalSeconds} s: {what()}");
            }

            Thread.Sleep(2);
        }

        return watch.Elapsed;
    }

    internal static void Equal<T>(T expected, Func<T> actual, [CallerArgumentExpression(nameof(actual))] string what = "")
    {
        T last = actual();
        var watch = RunningWatch.StartNew();
        while (!EqualityComparer<T>.Default.Equals(expected, last))
        {
            Assert.True(watch.Elapsed < Patience, $"{what} is {last}, not {expected}, after {Patience.TotalSeconds} s");
            Thread.Sleep(2);
            last = actual();
        }
    }
}
