using System.Management.Automation.Language;

namespace C10kServer.Scripting;

/// <summary>
/// Script blocks inside a handler that the handler gives to a command which runs them in another runspace. Their $using: variables are the
/// handler's variables, not the variables of the script that started the server. ForEach-Object -Parallel treats a nested -Parallel in the
/// same way.
/// </summary>
internal static class InnerBlocks
{
    private static readonly string[] Commands = ["Start-C10kServer", "Start-Job", "sajb", "Start-ThreadJob", "Invoke-Command", "icm"];

    private static readonly string[] Loops = ["ForEach-Object", "foreach", "%"];

    /// <summary>Whether a node of a handler is inside such a block.</summary>
    internal static bool Enclose(Ast node, ScriptBlockAst handler)
    {
        for (Ast? ast = node; ast is not null && ast != handler; ast = ast.Parent)
        {
            if (ast is ScriptBlockExpressionAst { Parent: var parent } && TakesUsing(parent as CommandAst ?? parent?.Parent as CommandAst))
            {
                return true;
            }
        }

        return false;
    }

    private static bool TakesUsing(CommandAst? command)
    {
        if (command?.GetCommandName() is not { } name)
        {
            return false;
        }

        // The name may be written with its module: ThreadJob\Start-ThreadJob.
        name = name[(name.LastIndexOf('\\') + 1)..];
        return Commands.Contains(name, StringComparer.OrdinalIgnoreCase)
            || (Loops.Contains(name, StringComparer.OrdinalIgnoreCase) && command.CommandElements.Any(IsParallel));
    }

    // -pa is the shortest form that the shell does not take for another parameter.
    private static bool IsParallel(CommandElementAst element) =>
        element is CommandParameterAst { ParameterName: { Length: > 1 } name } && "Parallel".StartsWith(name, StringComparison.OrdinalIgnoreCase);
}
