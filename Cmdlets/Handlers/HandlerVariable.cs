using System.Management.Automation;

namespace C10kServer.Scripting;

/// <summary>
/// A variable whose value is made when a handler reads it: most handlers look at few of them. What a script assigns to the name
/// makes a variable of its own scope, or is dropped.
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
