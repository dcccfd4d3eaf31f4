using System.Runtime.InteropServices;
using C10kServer.Engine.Native;

namespace C10kServer.Faults.Tests;

/// <summary>The shim itself, called as the engine calls it.</summary>
public unsafe class ShimTests
{
    private const int Ebadf = 9;
    private const int Eintr = 4;

    public ShimTests()
    {
        Shim.Require();
        Shim.Forget();
    }

    [Fact]
    public void The_ledger_knows_what_is_open_and_who_opened_it()
    {
        int fd = Libc.EventFd(0, 0);
        Assert.Equal(1, Shim.OpenCount());
        Assert.Contains($"{fd}: open, by eventfd", Shim.Describe(), StringComparison.Ordinal);
        Assert.Equal(0, Libc.Close(fd));
        Shim.AssertNothingLeft();
    }

    [Fact]
    public void A_second_close_is_reported_and_not_passed_on()
    {
        int fd = Libc.EventFd(0, 0);
        Assert.Equal(0, Libc.Close(fd));
        Assert.Equal(-1, Libc.Close(fd));
        Assert.Equal(Ebadf, Marshal.GetLastPInvokeError());
        Assert.Equal(1, Shim.Violations());
        Assert.Contains("closed twice", Shim.Describe(), StringComparison.Ordinal);
        Shim.Forget();
    }

    [Fact]
    public void An_interrupted_close_has_closed()
    {
        int before = ProcessLedger.Descriptors();
        int fd = Libc.EventFd(0, 0);
        using Shim.Armed armed = Shim.Arm("close", Eintr, Schedule.Nth(1));
        Assert.Equal(-1, Libc.Close(fd));
        Assert.Equal(Eintr, Marshal.GetLastPInvokeError());
        ProcessLedger.AssertDescriptors(before);
        Shim.AssertNothingLeft();
    }

    [Fact]
    public void Schedules_hit_the_calls_that_they_name()
    {
        Assert.Equal([3], Hits(Schedule.Nth(3), 10));
        Assert.Equal([3, 6, 9], Hits(Schedule.Every(3), 10));
        Assert.Equal([2, 4], Hits(Schedule.Every(2) with { Limit = 2 }, 10));
        List<int> seeded = Hits(Schedule.PerMille(10, 1), 10_000);
        Assert.InRange(seeded.Count, 60, 140);
        Assert.Equal(seeded, Hits(Schedule.PerMille(10, 1), 10_000));
        Assert.NotEqual(seeded, Hits(Schedule.PerMille(10, 2), 10_000));
    }

    private static List<int> Hits(Schedule schedule, int calls)
    {
        using Shim.Armed armed = Shim.Arm("getrlimit", Eintr, schedule);
        ulong* limits = stackalloc ulong[2];
        List<int> hits = [];
        for (int call = 1; call <= calls; call++)
        {
            if (Libc.GetRLimit(7, limits) != 0)
            {
                Assert.Equal(Eintr, Marshal.GetLastPInvokeError());
                hits.Add(call);
            }
        }

        Assert.Equal(calls, armed.Calls);
        Assert.Equal(hits.Count, armed.Injected);
        return hits;
    }
}
