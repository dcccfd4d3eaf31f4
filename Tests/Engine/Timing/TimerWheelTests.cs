namespace C10kServer.Engine.Tests;

public class TimerWheelTests
{
    private const long Start = 1_000_000;

    private readonly TimerWheel _wheel = new(Start);
    private readonly List<Timed> _asked = [];

    [Fact]
    public void A_deadline_is_asked_never_early_and_at_most_one_tick_late()
    {
        var random = new Random(1);
        var timed = new List<Timed>();
        for (int i = 0; i < 2000; i++)
        {
            Timed t = New(Start + random.Next(1, 60_000));
            timed.Add(t);
        }

        for (long now = Start; now < Start + 61_000; now += 7)
        {
            _wheel.Advance(now);
        }

        Assert.Equal(timed.Count, _asked.Count);
        Assert.All(_asked, static t => Assert.InRange(t.AskedAt - t.Deadline, 0, TimerWheel.Tick + 7));
    }

    [Fact]
    public void Deadlines_are_kept_where_the_ticks_outgrow_the_32_bits_that_an_entry_has()
    {
        const long Wrap = (1L << 32) * TimerWheel.Tick;
        var wheel = new TimerWheel(Wrap - 3000);
        List<Timed> all = [.. Enumerable.Range(1, 6000).Select(i => new Timed(Wrap - 3000 + i, _asked))];
        all.ForEach(timed => wheel.Schedule(timed, timed.Deadline));
        all.ForEach(timed => wheel.ScheduleEarlier(timed, timed.Deadline + (10 * TimerWheel.Tick)));
        Timed sooner = new(Wrap + 1000, _asked);
        wheel.Schedule(sooner, Wrap + 9000);
        wheel.ScheduleEarlier(sooner, sooner.Deadline);
        for (long now = Wrap - 3000; now < Wrap + 4000; now += 7)
        {
            wheel.Advance(now);
        }

        Assert.Equal(all.Count + 1, _asked.Count);

        // The one tick whose lower half is 0 is the next one's.
        Assert.All(_asked, static t => Assert.InRange(t.AskedAt - t.Deadline, 0, (2 * TimerWheel.Tick) + 7));
    }

    [Fact]
    public void A_cancelled_deadline_is_not_asked()
    {
        List<Timed> all = [.. Enumerable.Range(0, 10).Select(_ => New(Start + 500))];
        _wheel.Cancel(all[0]);
        _wheel.Cancel(all[5]);
        _wheel.Cancel(all[9]);
        _wheel.Cancel(all[9]);
        _wheel.Advance(Start + 1000);
        Assert.Equal(7, _asked.Count);
        Assert.DoesNotContain(all[5], _asked);
        Assert.Equal(-1, _wheel.Timeout(Start + 1000));
    }

    [Fact]
    public void A_new_deadline_replaces_the_old_one_and_only_an_earlier_one_does_when_asked_so()
    {
        Timed t = New(Start + 10_000);
        _wheel.Schedule(t, Start + 500);
        _wheel.ScheduleEarlier(t, Start + 5000);
        _wheel.Advance(Start + 600);
        Assert.Single(_asked);
        _wheel.Advance(Start + 20_000);
        Assert.Single(_asked);
    }

    [Fact]
    public void The_wait_ends_at_the_first_deadline()
    {
        Assert.Equal(-1, _wheel.Timeout(Start));
        New(Start + 30_000);
        New(Start + 400);
        Assert.InRange(_wheel.Timeout(Start), 400, 400 + TimerWheel.Tick);
    }

    [Fact]
    public void A_deadline_beyond_the_horizon_is_asked_again_and_comes_due_in_its_time()
    {
        Timed t = New(Start + 200_000);
        t.Again = _wheel;
        for (long now = Start; t.AskedAt == 0; now += Math.Max(1, _wheel.Timeout(now)))
        {
            Assert.True(now < Start + 201_000, "never asked");
            _wheel.Advance(now);
        }

        Assert.InRange(t.AskedAt, Start + 200_000, Start + 200_000 + TimerWheel.Tick);
    }

    [Fact]
    public void After_the_process_was_stopped_for_long_all_that_is_due_is_asked_once()
    {
        for (int i = 0; i < 100; i++)
        {
            New(Start + i * 600);
        }

        _wheel.Advance(Start + 10_000_000);
        Assert.Equal(100, _asked.Distinct().Count());
        Assert.Equal(100, _asked.Count);
        New(Start + 10_000_000 + 50);
        Assert.InRange(_wheel.Timeout(Start + 10_000_000), 50, 50 + TimerWheel.Tick);
    }

    [Fact]
    public void The_engines_time_is_that_of_the_monotonic_clock()
    {
        // Setting the wall clock moves neither; ClockTests sets it for one process.
        long before = Environment.TickCount64;
        long now = Clock.Now;
        Assert.InRange(now, before, Environment.TickCount64);
    }

    [Fact]
    public void No_deadline_at_all_is_never_asked()
    {
        New(Clock.Never);
        Assert.Equal(-1, _wheel.Timeout(Start));
    }

    private Timed New(long deadline)
    {
        var timed = new Timed(deadline, _asked);
        _wheel.Schedule(timed, deadline);
        return timed;
    }

    private sealed class Timed(long deadline, List<Timed> asked) : ITimed
    {
        public ITimed? Next { get; set; }

        public ITimed? Previous { get; set; }

        public uint Due { get; set; }

        internal long Deadline => deadline;

        internal long AskedAt { get; private set; }

        internal TimerWheel? Again { get; set; }

        public void OnDeadline(long now)
        {
            if (Again is not null && now < deadline)
            {
                Again.Schedule(this, deadline);
                return;
            }

            AskedAt = now;
            asked.Add(this);
        }
    }
}
