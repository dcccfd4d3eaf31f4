using System.Reflection;
using System.Runtime.InteropServices;

namespace C10kServer.Host;

internal static class Program
{
    private static int Main(string[] args)
    {
        // The engine's package reports its use unless it is told not to; a test host has nobody to report for.
        Environment.SetEnvironmentVariable("POWERSHELL_TELEMETRY_OPTOUT", "1");

        ShellOptions options;
        try
        {
            options = ShellOptions.Parse(args);
        }
        catch (FormatException e)
        {
            Console.Error.WriteLine(e.Message);
            Console.Error.WriteLine(ShellOptions.Usage);
            return 64;
        }

        if (options.Help)
        {
            Console.WriteLine(ShellOptions.Usage);
            return 0;
        }

        var shell = new Shell(options);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context =>
        {
            context.Cancel = true;
            shell.StopPipeline();
        });
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context =>
        {
            context.Cancel = true;
            shell.End(128 + 15);
        });
        using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, context =>
        {
            context.Cancel = true;
            shell.End(128 + 1);
        });

        var manifest = Path.Combine(RepositoryRoot, "C10kServer.psd1");
        shell.End(shell.Run(options.NoModule ? null : manifest));
        return 0;
    }

    private static string RepositoryRoot =>
        typeof(Program).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(a => a.Key == "RepositoryRoot").Value!;
}
