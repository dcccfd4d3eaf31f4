using System.Management.Automation.Language;

namespace C10kServer.Scripting;

/// <summary>
/// Script blocks that a handler hands to a command which runs them in another runspace, with $using: variables of its own: these are the handler's
/// then, and not those of whoever started the server. ForEach-Object -Parallel leaves a nested -Parallel its variables likewise.
/// </summary>
internal static class InnerBlocks
{
    private static readonly string[] Commands = ["Start-C10kServer", "Start-Job", "sajb", "Start-ThreadJob", "Invoke-Command", "icm"];

    private static readonly string[] Loops = ["ForEach-Object", "foreach", "%"];

    /// <summary>Whether something in a handler stands in such a block.</summary>
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

        // It may be written with its module: ThreadJob\Start-ThreadJob.
        name = name[(name.LastIndexOf('\\') + 1)..];
        return Commands.Contains(name, StringComparer.OrdinalIgnoreCase)
            || (Loops.Contains(name, StringComparer.OrdinalIgnoreCase) && command.CommandElements.Any(IsParallel));
    }

    // -pa is the shortest that the shell does not take for another parameter.
    private static bool IsParallel(CommandElementAst element) =>
        element is CommandParameterAst { ParameterName: { Length: > 1 } name } && "Parallel".StartsWith(name, StringComparison.OrdinalIgnoreCase);
}
