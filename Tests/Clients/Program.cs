using System.CommandLine;
using System.Net;

namespace C10kServer.Clients;

/// <summary>The command line.</summary>
internal static class Program
{
    private static readonly Option<int> Port = Positive("--port", null, "The server's port.");
    private static readonly Option<IPAddress> Address = MakeAddress();
    private static readonly Option<int> Count = Positive("--count", 1, "How many connections.");
    private static readonly Option<int> Size = Positive("--size", 64, "The bytes of a message.");
    private static readonly Option<int> Sources = Positive("--sources", 8, "Over how many addresses, 127.0.0.1 and up, to spread.");
    private static readonly Option<int> Connecting = Positive("--connecting", 128, "How many connects are in flight at most.");
    private static readonly Option<double> Timeout = Seconds("--timeout", 240, "After so many seconds it gives up, with exit code 3.");
    private static readonly Option<int> Seed = new("--seed") { Description = "Another seed, other payloads." };
    private static readonly Option<bool> Lines = new("--lines") { Description = "Each message is a numbered line of text, for servers of lines." };
    private static readonly Option<bool> Unverified =
        new("--unverified") { Description = "Count what comes, and do not compare it: for servers that do not echo." };

    private static int Main(string[] args)
    {
        var root = new RootCommand("TCP clients that verify every byte, and clients that misbehave. Loopback only.")
        {
            Hold(), Echo(), Churn(), Misbehave(), Mix(),
        };
        foreach (Option option in new Option[] { Port, Address, Count, Size, Sources, Connecting, Timeout, Seed, Lines, Unverified })
        {
            option.Recursive = true;
            root.Options.Add(option);
        }

        Sources.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() > 1000)
            {
                result.AddError("--sources: at most 1000.");
            }
        });

        Lines.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<bool>() && result.GetValue(Size) < LinePayload.LeastSize)
            {
                result.AddError($"--lines: --size {LinePayload.LeastSize} or more.");
            }
        });

        ParseResult parsed = root.Parse(args);
        try
        {
            int code = parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
            return parsed.Errors.Count > 0 ? ExitCode.Usage : code;
        }
        catch (UsageException e)
        {
            Console.Error.WriteLine(e.Message);
            return ExitCode.Usage;
        }
    }

    private static Command Hold()
    {
        Option<int> neverRead = new("--never-read") { Description = "How many of the connections, the last ones, send and do not read." };
        Option<long> neverReadBytes = new("--never-read-bytes")
        {
            Description = "How much each of those sends.",
            DefaultValueFactory = _ => 4 << 20,
        };
        var command = new Command("hold", "Opens connections and does with them what the lines of standard input say.")
        {
            neverRead, neverReadBytes,
        };
        command.SetAction(parsed => new HoldCommand(
            Common(parsed), Math.Max(0, parsed.GetValue(neverRead)), Math.Max(0, parsed.GetValue(neverReadBytes))).Run());
        return command;
    }

    private static Command Echo()
    {
        Option<int> messages = Positive("--messages", 1, "How many messages on each connection.");
        Option<double?> seconds = new("--seconds") { Description = "For so long, instead of a number of messages." };
        Option<int> depth = Positive("--depth", 1, "How many messages of a connection are in flight.");
        var command = new Command("echo", "Messages back and forth.") { messages, seconds, depth };
        command.SetAction(parsed => new EchoCommand(
            Common(parsed), parsed.GetValue(messages),
            parsed.GetValue(seconds) is double s ? TimeSpan.FromSeconds(s) : null, parsed.GetValue(depth)).Run());
        return command;
    }

    private static Command Churn()
    {
        Option<int> total = Positive("--total", 1000, "How many times to connect, echo one message and close.");
        Option<int> parallel = Positive("--parallel", 64, "How many at a time.");
        Option<string> end = new("--end") { Description = "How each ends.", DefaultValueFactory = _ => "close" };
        end.AcceptOnlyFromAmong("close", "reset", "halfclose");
        var command = new Command("churn", "Connections that come and go.") { total, parallel, end };
        command.SetAction(parsed => new ChurnCommand(
            Common(parsed), parsed.GetValue(total), parsed.GetValue(parallel), parsed.GetValue(end)!).Run());
        return command;
    }

    private static Command Misbehave()
    {
        Option<string> kind = new("--kind") { Description = "What they do.", Required = true };
        kind.AcceptOnlyFromAmong([.. MisbehaveCommand.Kinds.Keys]);
        Option<long> bytes = new("--bytes")
        {
            Description = "How much a never-read, slow-read or garbage connection sends.",
            DefaultValueFactory = _ => 4 << 20,
        };
        Option<long?> expect = new("--expect") { Description = "half-close: how many bytes must come before the end, if not the echo." };
        Option<double> interval = Seconds("--interval", 1, "The seconds that the slow kinds pause.");
        Option<int> piece = Positive("--piece", 1, "How many bytes a slow reader takes at a time.");
        Option<double> duration = Seconds("--duration", 10, "When never-read, slow-write, slow-read and vanish stop, in seconds.");
        var command = new Command("misbehave", "Connections that a server has to live with.")
        {
            kind, bytes, expect, interval, piece, duration,
        };
        command.SetAction(parsed => new MisbehaveCommand(parsed.GetValue(kind)!, new MisbehaveOptions(
            Common(parsed), parsed.GetValue(bytes), parsed.GetValue(expect), TimeSpan.FromSeconds(parsed.GetValue(interval)),
            parsed.GetValue(piece), TimeSpan.FromSeconds(parsed.GetValue(duration)))).Run());
        return command;
    }

    private static Command Mix()
    {
        // As many as a server is to live with, unless it is said otherwise.
        const int DefaultCount = 500;
        Option<double> duration = Seconds("--duration", 60, "For how long connections are begun, in seconds; then --timeout counts.");
        Option<double> silence = Seconds("--silence", 10, "The longest that a vanished connection is silent before it closes, in seconds.");
        Option<string[]> kinds = new("--kinds")
        {
            Description = "The kinds to draw from, if not all.",
            AllowMultipleArgumentsPerToken = true,
            DefaultValueFactory = _ => [.. MixKind.All.Select(kind => kind.Name)],
        };
        kinds.AcceptOnlyFromAmong([.. MixKind.All.Select(kind => kind.Name)]);
        Option<bool> progress = new("--progress") { Description = "Tell on standard error, each second, how it goes." };
        var command = new Command("mix", "Connections that each do something else, drawn by lot.") { duration, silence, kinds, progress };
        command.SetAction(parsed =>
        {
            CommonOptions common = Common(parsed);
            if (parsed.GetResult(Count) is not { Implicit: false })
            {
                common = common with { Count = DefaultCount };
            }

            string[] names = parsed.GetValue(kinds)!;
            return new MixCommand(new MixOptions(
                common, TimeSpan.FromSeconds(parsed.GetValue(duration)), TimeSpan.FromSeconds(parsed.GetValue(silence)),
                [.. MixKind.All.Where(kind => names.Contains(kind.Name))], parsed.GetValue(progress))).Run();
        });
        return command;
    }

    private static CommonOptions Common(ParseResult parsed) => new(
        parsed.GetValue(Address)!, parsed.GetValue(Port), parsed.GetValue(Count), parsed.GetValue(Size), parsed.GetValue(Sources),
        parsed.GetValue(Connecting), TimeSpan.FromSeconds(parsed.GetValue(Timeout)), parsed.GetValue(Seed), parsed.GetValue(Lines), parsed.GetValue(Unverified));

    private static Option<int> Positive(string name, int? fallback, string description)
    {
        var option = new Option<int>(name) { Description = description, Required = fallback is null };
        if (fallback is int value)
        {
            option.DefaultValueFactory = _ => value;
        }

        option.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && int.TryParse(result.Tokens[0].Value, out int given) && given < 1)
            {
                result.AddError(name + ": at least 1.");
            }
        });
        return option;
    }

    private static Option<double> Seconds(string name, double fallback, string description)
    {
        var option = new Option<double>(name) { Description = description, DefaultValueFactory = _ => fallback };
        option.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && result.GetValueOrDefault<double>() is not (> 0 and < 1e6))
            {
                result.AddError(name + ": more than 0 and less than a million.");
            }
        });
        return option;
    }

    private static Option<IPAddress> MakeAddress() => new("--address")
    {
        Description = "The server's address: 127.0.0.0/8 or ::1.",
        DefaultValueFactory = _ => IPAddress.Loopback,
        CustomParser = result =>
        {
            // Traffic that misbehaves belongs on this machine.
            if (IPAddress.TryParse(result.Tokens[0].Value, out IPAddress? address) && IPAddress.IsLoopback(address))
            {
                return address;
            }

            result.AddError("--address: a loopback address.");
            return null;
        },
    };
}
