using System.Net;
using C10kServer.Engine.Load;

namespace C10kServer.Engine.Tests.Support;

/// <summary>Runs loads to their end, and looks that nothing is left of them.</summary>
internal static class Loads
{
    internal static LoadReport Run(this ServerFixture fixture, Func<LoadOptions, LoadOptions> with) =>
        Run(fixture.Server.EndPoints[0], with);

    internal static LoadReport Run(EndPoint target, Func<LoadOptions, LoadOptions> with)
    {
        int threads = ProcessLedger.LoadThreads();
        LoadReport? report;
        using (var load = new LoadGenerator(with(new LoadOptions { Target = target, IsOwnServer = true })))
        {
            load.Start();
            Assert.True(load.Wait(TimeSpan.FromSeconds(60)), $"the load is not over: {load.Progress}");
            report = load.Report;
        }

        Eventually.Equal(threads, ProcessLedger.LoadThreads);
        Assert.NotNull(report);
        return report;
    }

    /// <summary>Fails with what went wrong.</summary>
    internal static void AssertNoErrors(this LoadReport report) =>
        Assert.True(report.Errors == 0, string.Join("; ", report.ErrorDetails));
}
