using System.Globalization;
using System.Text;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

public sealed class LogFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("c10k-log-").FullName;

    private string Log => Path.Combine(_folder, "server.log");

    public void Dispose()
    {
        Eventually.Equal(0, ProcessLedger.EngineThreads);
        Assert.DoesNotContain(OpenFiles(), file => file.StartsWith(_folder, StringComparison.Ordinal));
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void A_servers_whole_life_is_in_the_file_and_its_thread_ends_with_it()
    {
        var handler = new LambdaHandler { Received = static (_, _) => throw new InvalidOperationException("no\n1 such thing") };
        using (var fixture = new ServerFixture(handler, options => options with { LogPath = Log }) { ExpectedHandlerErrors = 1 })
        {
            fixture.Server.LogLevel = EventLevel.Debug;
            Assert.Contains("c10k test log", EngineThreadNames());
            using (TestClient client = fixture.Connect())
            {
                client.Send([1]);
                Assert.Empty(client.ReceiveToEnd());
            }

            Eventually.Equal(1, () => fixture.Server.Closed);
            var watch = Stopwatch.StartNew();
            fixture.Server.Stop();
            Assert.InRange(watch.Ran.TotalMilliseconds, 0, 1000);
        }

        string[] names = [.. File.ReadAllLines(Log).Where(static line => char.IsAsciiDigit(line[0])).Select(static line => line.Split(' ')[2])
            .Where(static name => !name.Contains("Stall", StringComparison.Ordinal))];
        Assert.Equal(["ServerStarted(1)", "ConnectionOpened(20)", "HandlerFailed(30)", "ConnectionClosed(21)", "ServerStopped(2)"], names);
    }

    [Fact]
    public void Moved_away_under_load_no_record_of_either_server_is_lost_and_every_line_is_whole()
    {
        const int Rotations = 3;
        EventLog[] logs = [new EventLog(), new EventLog()];
        LogFile[] files = [.. logs.Select((log, i) => new LogFile(Log, $"test {i}", static error => Assert.Fail(error)))];
        long[] counts = new long[logs.Length];
        bool over = false;
        for (int i = 0; i < logs.Length; i++)
        {
            logs[i].SetFile(files[i]);
            files[i].Start();
        }

        Thread[] writers =
        [
            .. logs.Select((log, i) => new Thread(() =>
            {
                while (!Volatile.Read(ref over))
                {
                    for (int burst = 0; burst < 50; burst++)
                    {
                        // Of all lengths, up to some that a page does not hold.
                        long n = ++counts[i];
                        log.Add($"{(n * logs.Length) + i} {new string('x', (int)(n % 60 == 0 ? 4000 : n % 60))} end");
                    }

                    Thread.Sleep(1);
                }
            })),
        ];
        Array.ForEach(writers, static writer => writer.Start());
        for (int rotation = 1; rotation <= Rotations; rotation++)
        {
            Eventually.True(() => File.Exists(Log) && new FileInfo(Log).Length > 10_000);
            File.Move(Log, $"{Log}.{rotation}");
        }

        Eventually.True(() => File.Exists(Log) && new FileInfo(Log).Length > 10_000);
        Volatile.Write(ref over, true);
        Array.ForEach(writers, static writer => writer.Join());
        Array.ForEach(files, static file => file.End());
        Eventually.Equal(0, ProcessLedger.EngineThreads);

        Assert.Equal(Rotations + 1, Directory.GetFiles(_folder).Length);
        var numbers = new List<long>();
        foreach (string line in Directory.GetFiles(_folder).SelectMany(File.ReadAllLines))
        {
            Assert.Matches(@"^\d{4}-\S+ Information Test\(99\) \d+ x* end$", line);
            numbers.Add(long.Parse(line.Split(' ')[3], CultureInfo.InvariantCulture));
        }

        numbers.Sort();
        long[] expected = [.. logs.SelectMany((_, i) => Enumerable.Range(1, (int)counts[i]).Select(n => ((long)n * logs.Length) + i)).Order()];
        Assert.Equal(expected, numbers);
    }

    [Theory]
    [InlineData(0x0, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead)]
    [InlineData(0x3F, UnixFileMode.UserRead | UnixFileMode.UserWrite)]
    public void Made_or_made_anew_it_is_for_its_user_and_group_at_most(uint umask, UnixFileMode expected)
    {
        uint before = Kernel.SetFileMask(umask);
        try
        {
            var log = new EventLog();
            var file = new LogFile(Log, "test", static error => Assert.Fail(error));
            log.SetFile(file);
            file.Start();
            log.Add("first");
            Eventually.True(() => new FileInfo(Log).Length > 0);
            Assert.Equal(expected, File.GetUnixFileMode(Log));
            File.Move(Log, Log + ".1");
            Eventually.True(() =>
            {
                log.Add("later");
                return File.Exists(Log);
            });
            Assert.Equal(expected, File.GetUnixFileMode(Log));
            file.End();
        }
        finally
        {
            Assert.Equal(umask, Kernel.SetFileMask(before));
        }
    }

    [Fact]
    public void Removed_it_is_made_anew_and_an_idle_log_makes_none()
    {
        var log = new EventLog();
        var file = new LogFile(Log, "test", static error => Assert.Fail(error));
        log.SetFile(file);
        file.Start();
        log.Add("first");
        Eventually.True(() => new FileInfo(Log).Length > 0);
        File.Delete(Log);
        Eventually.True(() =>
        {
            log.Add("later");
            return File.Exists(Log);
        });
        file.End();
        Assert.EndsWith("later\n", File.ReadAllText(Log), StringComparison.Ordinal);
    }

    [Fact]
    public void A_directory_that_is_gone_is_told_once_and_writing_goes_on_when_it_is_back()
    {
        var errors = new List<string>();
        string folder = Path.Combine(_folder, "logs");
        Directory.CreateDirectory(folder);
        string path = Path.Combine(folder, "server.log");
        var log = new EventLog();
        var file = new LogFile(path, "test", errors.Add);
        log.SetFile(file);
        file.Start();
        Directory.Move(folder, folder + ".old");
        Eventually.True(() =>
        {
            log.Add("still written");
            return errors.Count > 0;
        });
        long told = Clock.Now;
        Eventually.True(() =>
        {
            log.Add("and not told again");
            return Clock.Now - told > 1200;
        });
        Directory.CreateDirectory(folder);
        Eventually.True(() =>
        {
            log.Add("back");
            return File.Exists(path);
        });
        file.End();
        Assert.Contains(path, Assert.Single(errors), StringComparison.Ordinal);
        Assert.Contains("still written", File.ReadAllText(Path.Combine(folder + ".old", "server.log")), StringComparison.Ordinal);
        Assert.EndsWith("back\n", File.ReadAllText(path), StringComparison.Ordinal);
    }

    [Fact]
    public void What_the_queue_has_no_room_for_is_counted_and_the_count_is_in_the_file()
    {
        const int Over = 100;
        var log = new EventLog();
        var file = new LogFile(Log, "test", static error => Assert.Fail(error));
        log.SetFile(file);

        // Its thread does not run yet: as slow as a disk can be.
        for (int i = 0; i < LogFile.Capacity + Over; i++)
        {
            log.Add($"{i}");
        }

        file.Start();
        file.End();
        Eventually.Equal(0, ProcessLedger.EngineThreads);
        string[] lines = File.ReadAllLines(Log);
        Assert.Equal(LogFile.Capacity + 1, lines.Length);
        Assert.EndsWith($" {LogFile.Capacity - 1}", lines[^2], StringComparison.Ordinal);
        Assert.Contains($"Warning LogRecordsDropped(60) test: {Over} records", lines[^1], StringComparison.Ordinal);
    }

    [Fact]
    public void A_line_that_found_half_the_room_that_it_needs_does_not_spoil_the_next_one()
    {
        const int Count = 500;

        // A pipe that nobody empties is a disk that fills up, and takes a part of what does not fit. Open for writing too, it needs no writer.
        System.Diagnostics.Process.Start("mkfifo", Log).WaitForExit();
        using var reader = new FileStream(Log, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
        var errors = new List<string>();
        var log = new EventLog();
        var file = new LogFile(Log, "test", errors.Add);
        log.SetFile(file);
        file.Start();
        for (int i = 0; i < Count; i++)
        {
            log.Add($"{i} {new string('x', 1000)} end");
        }

        Eventually.True(() => errors.Count > 0);
        var bytes = new MemoryStream();
        var drain = new Thread(() =>
        {
            var buffer = new byte[65536];
            int n;
            while ((n = reader.Read(buffer)) > 0 && buffer[n - 1] != 0)
            {
                lock (bytes)
                {
                    bytes.Write(buffer, 0, n);
                }
            }
        });
        drain.Start();
        Eventually.True(() =>
        {
            log.Add("the last end");
            return Text().EndsWith("the last end\n", StringComparison.Ordinal);
        });
        file.End();
        Eventually.Equal(0, ProcessLedger.EngineThreads);
        reader.Write(new byte[1]);
        drain.Join();

        // What was cut off stands alone: nothing else is on its line.
        string[] lines = Text().TrimEnd('\n').Split('\n');
        string[] cut = [.. lines.Where(static line => !line.EndsWith(" end", StringComparison.Ordinal) && !line.Contains("LogRecordsDropped", StringComparison.Ordinal))];
        Assert.NotEmpty(cut);
        Assert.All(lines, static line => Assert.DoesNotMatch(@".\d{4}-\d\d-\d\dT", line));
        Assert.All(lines.Except(cut), static line => Assert.Matches(@"^\d{4}-\d\d-\d\dT\S+ (Information|Warning) ", line));

        string Text()
        {
            lock (bytes)
            {
                return Encoding.UTF8.GetString(bytes.GetBuffer(), 0, (int)bytes.Length);
            }
        }
    }

    [Fact]
    public void On_a_full_disk_the_server_serves_on_and_says_so()
    {
        var handler = new LambdaHandler { Received = static (connection, data) => connection.Write(data) };
        using var fixture = new ServerFixture(handler, static options => options with { LogPath = "/dev/full" });
        fixture.Server.LogLevel = EventLevel.Debug;
        for (int i = 0; i < 100; i++)
        {
            using TestClient client = fixture.Connect();
            client.Echo(i, 1000);
        }

        Eventually.True(() => fixture.Server.LastError is not null);
        Assert.Contains("/dev/full", fixture.Server.LastError, StringComparison.Ordinal);
        Assert.Contains("errno 28", fixture.Server.LastError, StringComparison.Ordinal);
        Assert.Equal(ServerState.Running, fixture.Server.State);
        var watch = Stopwatch.StartNew();
        fixture.Server.Stop();
        Assert.InRange(watch.Ran.TotalMilliseconds, 0, 1000);
    }

    [Theory]
    [InlineData("missing/server.log", 2)]
    [InlineData(".", 21)]
    public void A_file_that_cannot_be_opened_fails_the_start_and_leaves_nothing(string name, int errno)
    {
        int descriptors = ProcessLedger.Descriptors();
        using var server = new Server(new ServerOptions { LogPath = Path.Combine(_folder, name), HandlerFactory = static () => new LambdaHandler() });
        var e = Assert.Throws<ServerStartException>(server.Start);
        Assert.Equal(StartFailure.LogPathNotWritable, e.Failure);
        Assert.Equal(errno, e.Errno);
        Assert.Equal(ServerState.Created, server.State);
        Eventually.Equal(0, ProcessLedger.EngineThreads);
        ProcessLedger.AssertDescriptors(descriptors);
    }

    [Fact]
    public void A_pipe_that_nobody_reads_fails_the_start_and_does_not_hold_it()
    {
        System.Diagnostics.Process.Start("mkfifo", Log).WaitForExit();
        using var server = new Server(new ServerOptions { LogPath = Log, HandlerFactory = static () => new LambdaHandler() });
        Assert.Equal(StartFailure.LogPathNotWritable, Assert.Throws<ServerStartException>(server.Start).Failure);
    }

    private static IEnumerable<string> OpenFiles() =>
        Directory.GetFileSystemEntries("/proc/self/fd").Select(static link => Links(link) ?? "");

    private static string? Links(string link)
    {
        try
        {
            return new FileInfo(link).LinkTarget;
        }
        catch (IOException)
        {
            return null; // the one that lists the directory
        }
    }

    private static IEnumerable<string> EngineThreadNames() =>
        ProcessLedger.EngineThreadIds().Select(static id => File.ReadAllText($"/proc/self/task/{id}/comm", Encoding.UTF8).Trim());
}
