[assembly: Xunit.AssemblyFixture(typeof(C10kServer.Tests.Shared.OneSuiteAtATime))]

namespace C10kServer.Tests.Shared;

/// <summary>
/// Held by a test project while its tests run. "dotnet test" starts all projects of a solution at once, and these count
/// descriptors, watch CPU time and hold ten thousand connections: one has the machine, the others wait.
/// </summary>
public sealed class OneSuiteAtATime : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(30);

    private readonly FileStream _lock = Acquire();

    /// <summary>Lets the next one in.</summary>
    public void Dispose() => _lock.Dispose();

    private static FileStream Acquire()
    {
        string path = Path.Combine(Path.GetTempPath(), "c10kserver-tests.lock");
        var watch = RunningWatch.StartNew();
        while (true)
        {
            try
            {
                // flock(2) underneath: the kernel lets go of it when the process ends, however it does.
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException) when (watch.Elapsed < Patience)
            {
                Thread.Sleep(100);
            }
        }
    }
}
