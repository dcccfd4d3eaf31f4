using System.Management.Automation;

namespace C10kServer.Scripting;

/// <summary>
/// A variable whose value is made when a handler reads it, because most handlers read few of these variables. If a script assigns to the
/// name, the assignment makes a variable in the script's own scope, or has no effect.
/// </summary>
internal sealed class HandlerVariable(string name, Func<object?> read) : PSVariable(name)
{
    public override object? Value
    {
        get => read();
        set
        {
        }
    }
}
