using System.Reflection;
using System.Text;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

public class EventLogTests
{
    [Fact]
    public void It_keeps_the_last_ones_and_says_how_many_a_reader_has_missed()
    {
        var log = new EventLog();
        Write(log, 10);
        Assert.Equal(Enumerable.Range(1, 10).Select(static i => (long)i), log.GetRecords(0, out long lost).Select(static r => r.Sequence));
        Assert.Equal(0, lost);
        Assert.Equal([9, 10], log.GetRecords(8, out lost).Select(static r => r.Sequence));
        Assert.Equal(0, lost);
        Assert.Empty(log.GetRecords(10, out lost));
        Assert.Equal(0, lost);

        Write(log, EventLog.Capacity + 5);
        IReadOnlyList<EventRecord> records = log.GetRecords(10, out lost);
        Assert.Equal(5, lost);
        Assert.Equal(EventLog.Capacity, records.Count);
        Assert.Equal(16, records[0].Sequence);
        Assert.Equal(EventLog.Capacity + 15, records[^1].Sequence);
        Assert.Equal(EventLog.Capacity, log.GetRecords().Count);
    }

    [Fact]
    public void Records_of_many_threads_have_each_a_number_and_wake_whoever_follows()
    {
        const int Threads = 4;
        const int Each = 200;
        var log = new EventLog();
        int told = 0;
        log.Written += () => Interlocked.Increment(ref told);
        Parallel.For(0, Threads, _ => Write(log, Each));
        Assert.Equal(Enumerable.Range(1, Threads * Each).Select(static i => (long)i), log.GetRecords().Select(static r => r.Sequence));
        Assert.Equal(Threads * Each, told);
    }

    [Fact]
    public void A_reader_takes_no_lock_and_so_holds_no_writer_up()
    {
        var log = new EventLog();
        Write(log, EventLog.Capacity + 5);
        var held = (Lock)typeof(EventLog).GetField("_lock", BindingFlags.NonPublic | BindingFlags.Instance)!.GetValue(log)!;
        int count = 0;

        // On another thread: this one could enter the lock again.
        var reader = new Thread(() => count = log.GetRecords().Count + log.GetRecords(20, out _).Count);
        lock (held)
        {
            reader.Start();
            Assert.True(reader.Join(Eventually.Patience), "The reader waits for the writer's lock.");
        }

        Assert.Equal(EventLog.Capacity + EventLog.Capacity - 15, count);
    }

    [Fact]
    public void Read_while_many_threads_write_a_log_gives_each_record_once_and_counts_the_others_as_lost()
    {
        const int Threads = 4;
        const int Each = 20_000;
        var log = new EventLog();
        var writing = new Thread(() => Parallel.For(0, Threads, _ => Write(log, Each)));
        writing.Start();
        long last = 0;
        long seen = 0;
        long missed = 0;
        bool over;
        do
        {
            over = !writing.IsAlive;
            foreach (EventRecord record in log.GetRecords(last, out long lost))
            {
                Assert.True(record.Sequence > last, $"{record.Sequence} comes after {last}");
                last = record.Sequence;
                seen++;
                missed += lost;
                lost = 0;
            }
        }
        while (!over);

        writing.Join();
        Assert.Equal(Threads * Each, last);
        Assert.Equal(Threads * Each, seen + missed);
    }

    [Fact]
    public void The_level_is_live()
    {
        var log = new EventLog { MinimumLevel = EventLevel.None };
        log.Add("not kept", EventLevel.Critical);
        log.MinimumLevel = EventLevel.Debug;
        log.Add("nor this", EventLevel.Trace);
        log.Add("kept", EventLevel.Debug);
        Assert.Equal("kept", Assert.Single(log.GetRecords()).Message);
    }

    [Fact]
    public void What_a_peer_makes_long_is_cut()
    {
        var log = new EventLog();
        string megabyte = new('x', 1 << 20);
        log.Add(megabyte, EventLevel.Error, new InvalidOperationException(megabyte));
        EventRecord record = Assert.Single(log.GetRecords());
        Assert.InRange(record.Message.Length, 4096, 5000);
        Assert.InRange(record.Error!.Length, 4096, 5000);
        Assert.InRange(record.Exception!.Length, 16384, 17000);
    }

    [Theory]
    [InlineData("line\n2026-01-01T00:00:00.000+00:00 Critical ServerFaulted(3) forged", @"line\n2026")]
    [InlineData("carriage\rreturn", @"carriage\rreturn")]
    [InlineData("tab\tbell\aescape\u001b[2Jdelete\x7f", @"tab\tbell\u0007escape\u001b[2Jdelete\u007f")]
    [InlineData("next\u0085line separator\u2028paragraph\u2029", @"next\u0085line separator\u2028paragraph\u2029")]
    [InlineData("right to left \u202e override", @"right to left \u202e override")]
    [InlineData("tags \U000e0041 outside the first plane", @"tags \U000e0041 outside the first plane")]
    [InlineData(@"a back\slash and its n: \n", @"a back\\slash and its n: \\n")]
    [InlineData("lone \ud800 surrogate, Grüße, 你好, 👋", "Grüße, 你好, 👋")]
    public void No_text_of_a_peer_forges_a_line(string text, string shown)
    {
        var log = new EventLog();
        log.Add(text, EventLevel.Error, new InvalidOperationException(text));
        string[] lines = Lines(log.GetRecords());
        Assert.Contains(shown, lines[0], StringComparison.Ordinal);
        Assert.Contains("System.InvalidOperationException: ", lines[0], StringComparison.Ordinal);
        Assert.Single(lines, static line => char.IsAsciiDigit(line[0]));
        Assert.All(lines, static line => Assert.DoesNotContain(line, static c => char.IsControl(c)));
    }

    [Fact]
    public void The_stack_trace_and_the_causes_stand_behind_their_record_with_spaces_before_them()
    {
        var log = new EventLog();
        try
        {
            try
            {
                throw new FormatException("cause\n2026 forged");
            }
            catch (FormatException e)
            {
                throw new InvalidOperationException("effect", e);
            }
        }
        catch (InvalidOperationException e)
        {
            log.Add("web: the handler of connection 7 failed.", EventLevel.Error, e, 30, "HandlerFailed");
        }

        string[] lines = Lines(log.GetRecords());
        Assert.Matches(
            @"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d Error HandlerFailed\(30\) web: the handler of connection 7 failed\. System\.InvalidOperationException: effect$",
            lines[0]);
        Assert.All(lines[1..], static line => Assert.StartsWith("    ", line, StringComparison.Ordinal));
        Assert.Contains(lines, static line => line.Contains("System.FormatException: cause", StringComparison.Ordinal));
        Assert.Contains(lines, static line => line.Contains("    at C10kServer", StringComparison.Ordinal));
    }

    private static string[] Lines(IEnumerable<EventRecord> records)
    {
        var text = new StringBuilder();
        foreach (EventRecord record in records)
        {
            LogLine.Append(text, record);
        }

        Assert.Equal('\n', text[^1]);
        return text.ToString()[..^1].Split('\n');
    }

    private static void Write(EventLog log, int count)
    {
        for (int i = 0; i < count; i++)
        {
            log.Add($"{i}");
        }
    }
}
