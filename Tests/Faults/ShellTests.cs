using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;

namespace C10kServer.Faults.Tests;

/// <summary>
/// What may befall the threads of a shell, tried in a process of its own, see Shell.ps1: the process may start no further thread, or an
/// exception leaves a thread and would end the process.
/// </summary>
public class ShellTests
{
    private static readonly string Dotnet = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "../../../dotnet"));

    private static readonly string Threads = Path.Combine(AppContext.BaseDirectory, "libc10kthreads.so");

    [Theory]
    [InlineData("StartWithoutThreads")]
    [InlineData("StartOfHandlersWithoutThreads")]
    [InlineData("ResizeWithoutThreads")]
    [InlineData("LoadWithoutThreads")]
    [InlineData("SubscribeWithoutThreads")]
    public Task What_cannot_have_all_its_threads_says_so_and_is_undone(string @case) => Run(@case);

    [Fact]
    public Task A_server_whose_handler_blocks_is_stopped_and_forgotten_though_no_thread_can_be_had() => Run("StopWithoutThreads");

    [Fact]
    public Task An_exception_that_cannot_be_described_does_not_end_the_shell() => Run("UnspeakableExceptions");

    private static async Task Run(string @case)
    {
        Assert.SkipUnless(File.Exists(Threads), "The shim of threads is not built: no C compiler (gcc) was found when this project was built.");
        var start = new ProcessStartInfo(
            Dotnet,
            ["exec", Metadata("PowerShellAssembly"), "-NoProfile", "-NonInteractive", "-File", Metadata("ShellScript"), @case, Metadata("Manifest"), Threads])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["LD_PRELOAD"] = Threads;
        start.Environment["POWERSHELL_TELEMETRY_OPTOUT"] = "1";

        // The runtime would start a thread of its own whenever it recompiles a method, on whichever thread called that one.
        start.Environment["DOTNET_TieredCompilation"] = "0";
        using var shell = Process.Start(start)!;
        Task<string> output = shell.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        Task<string> errors = shell.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        try
        {
            using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(15));
            await shell.WaitForExitAsync(patience.Token);
        }
        finally
        {
            shell.Kill();
        }

        string text = $"{await output}{await errors}";
        Assert.True(shell.ExitCode == 0 && text.Trim() == "ok", $"exit code {shell.ExitCode}: {text}");
    }

    private static string Metadata(string key) =>
        typeof(ShellTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(a => a.Key == key).Value!;
}
