using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace C10kServer.Soak.Tests.Support;

/// <summary>Polls a condition to a deadline: no test waits for a fixed time.</summary>
internal static class Eventually
{
    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    /// <returns>How long it took.</returns>
    internal static TimeSpan True(Func<bool> condition, [CallerArgumentExpression(nameof(condition))] string what = "") =>
        True(condition, () => what);

    /// <returns>How long it took.</returns>
    internal static TimeSpan True(Func<bool> condition, Func<string> what)
    {
        var watch = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(watch.Elapsed < Patience, $"not within {Patience.TotalSeconds} s: {what()}");
            Thread.Sleep(20);
        }

        return watch.Elapsed;
    }
}
