namespace C10kServer.Faults.Tests;

/// <summary>
/// What may befall the threads of a shell, tried in a process of its own, see Shell.ps1: the process may start no further thread, or an
/// exception leaves a thread and would end the process.
/// </summary>
public class ShellTests
{
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
        using ShellProcess shell = ShellProcess.Start("ShellScript", [@case, Threads], static start =>
        {
            start.Environment["LD_PRELOAD"] = Threads;

            // The runtime would start a thread of its own whenever it recompiles a method, on whichever thread called that one.
            start.Environment["DOTNET_TieredCompilation"] = "0";
        });
        await shell.AssertOk();
    }
}
