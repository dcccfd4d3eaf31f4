using System.Globalization;
using System.Management.Automation.Host;

namespace C10kServer.Host;

/// <summary>The host that the engine sees. It hands everything to the <see cref="Shell"/> and its user interface.</summary>
internal sealed class ShellHost(Shell shell, ShellUserInterface userInterface) : PSHost
{
    public override string Name => "C10kServer.Host";

    public override Guid InstanceId { get; } = Guid.NewGuid();

    public override Version Version { get; } = typeof(ShellHost).Assembly.GetName().Version ?? new Version(0, 0);

    public override CultureInfo CurrentCulture { get; } = CultureInfo.CurrentCulture;

    public override CultureInfo CurrentUICulture { get; } = CultureInfo.CurrentUICulture;

    public override PSHostUserInterface UI => userInterface;

    public override void SetShouldExit(int exitCode) => shell.Exit(exitCode);

    public override void EnterNestedPrompt() => shell.EnterNestedPrompt();

    public override void ExitNestedPrompt() => shell.ExitNestedPrompt();

    public override void NotifyBeginApplication()
    {
    }

    public override void NotifyEndApplication()
    {
    }
}
