using System.Management.Automation;
using System.Management.Automation.Language;
using System.Text;
using System.Text.RegularExpressions;

namespace C10kServer.Scripting;

/// <summary>
/// A handler's script block in a form that can be rebuilt in another runspace: its text, and the values of its <c>$using:</c> variables.
/// </summary>
/// <remarks>
/// The original block is bound to the runspace that it comes from. If another thread called it, the call would wait for that runspace's
/// thread, and then run on that thread. The edits of the text keep every line at its number, so that an error names the line in the user's file.
/// </remarks>
internal sealed partial class HandlerScript
{
    // This loop is put around a handler whose nested blocks may end the message: break finds the label from wherever it is called.
    private const string Label = "c10kMessage";
    private const string LoopHead = $":{Label} do {{";
    private const string LoopTail = "} while ($false)";

    private readonly string _source;
    private readonly string _text;
    private readonly string? _file;

    private HandlerScript(string source, string text, string? file, bool takesArguments)
    {
        _source = source;
        _text = text;
        _file = file;
        TakesArguments = takesArguments;
    }

    /// <summary>Whether the script looks at its arguments. For a script that does not, no array is made.</summary>
    internal bool TakesArguments { get; }

    /// <summary>Gets the value that an expression has for the caller. Returns false if its variable does not exist.</summary>
    internal delegate bool UsingLookup(VariablePath variable, ExpressionAst expression, out object? value);

    /// <exception cref="HandlerScriptException">The block cannot be a handler; the message says why.</exception>
    internal static HandlerScript Prepare(string parameter, ScriptBlock block, UsingLookup lookup, Dictionary<string, object?> usings)
    {
        ScriptBlockAst ast = block.Ast switch
        {
            ScriptBlockAst root => root,
            FunctionDefinitionAst { Parameters: null or { Count: 0 } } function => function.Body,
            _ => throw new HandlerScriptException(
                "HandlerParse", ErrorCategory.ParserError,
                $"-{parameter}: a function with parameters in parentheses is no handler. Write them as param(...) in a script block."),
        };
        if (ast.FindAll(node => node is NamedBlockAst && node.Parent == ast && node != ast.EndBlock, searchNestedScriptBlocks: false).FirstOrDefault()
            is NamedBlockAst named)
        {
            throw new HandlerScriptException(
                "HandlerParse", ErrorCategory.ParserError,
                $"-{parameter}: a handler is called once for each message and has no {named.BlockKind.ToString().ToLowerInvariant()} block. " +
                "Write the statements without one; what is to happen once for each connection goes into -OnConnect.");
        }

        // A node inside a block for another runspace belongs to that runspace, and is left alone.
        bool IsOwn(Ast node) => !InnerBlocks.Enclose(node, ast);

        List<Edit> edits = [];
        foreach (Ast node in ast.FindAll(static node => node is UsingExpressionAst, searchNestedScriptBlocks: true).Where(IsOwn))
        {
            edits.Add(Replace(parameter, (UsingExpressionAst)node, lookup, usings));
        }

        bool encloses = false;
        foreach (Ast node in ast.FindAll(static node => EndsMessage(node), searchNestedScriptBlocks: true).Where(IsOwn))
        {
            // In a nested block, exit, break and continue would become an exception. That exception would discard the output that the block
            // has already made.
            bool nested = BlockOf(node) != ast;
            encloses |= nested;
            if (!nested)
            {
                edits.Add(new Edit(node.Extent, "return"));
            }
            else if (node is ExitStatementAst)
            {
                edits.Add(new Edit(node.Extent, $"break {Label}"));
            }
        }

        string text = Apply(ast, edits, encloses);
        Parser.ParseInput(text, ast.Extent.File, out _, out ParseError[] errors);
        if (errors is [ParseError error, ..])
        {
            throw new HandlerScriptException(
                "HandlerParse", ErrorCategory.ParserError, $"-{parameter}: {error.Message} ({error.Extent.StartLineNumber}:{error.Extent.StartColumnNumber})");
        }

        bool takesArguments = ast.ParamBlock is { Parameters.Count: > 0 }
            || ast.FindAll(static node => node is VariableExpressionAst { VariablePath.UserPath: var name } && IsArgs(name), false).Any();
        return new HandlerScript(block.ToString().Trim(), text, ast.Extent.File, takesArguments);
    }

    /// <summary>Builds a block for the calling thread's runspace. It is not bound to any other runspace.</summary>
    internal ScriptBlock Build() => Parser.ParseInput(_text, _file, out _, out _).GetScriptBlock();

    /// <summary>The script as the user wrote it.</summary>
    public override string ToString() => _source;

    private static bool IsArgs(string name) => name.Equals("args", StringComparison.OrdinalIgnoreCase);

    private static Edit Replace(string parameter, UsingExpressionAst node, UsingLookup lookup, Dictionary<string, object?> usings)
    {
        string text = node.Extent.Text;
        VariableExpressionAst variable = UsingExpressionAst.ExtractUsingVariable(node);
        if (!lookup(variable.VariablePath, node.SubExpression, out object? value))
        {
            throw new HandlerScriptException(
                "UsingUnsupported", ErrorCategory.InvalidArgument,
                $"-{parameter}: there is no {KindOf(variable.VariablePath)} '{variable.VariablePath.UserPath}' for '{text}'. Set it before the server " +
                "is started.");
        }

        RefuseScriptBlocks(parameter, text, value);

        string name = "__using_" + UnsafeInName().Replace(UsingPrefix().Replace(text, "").ToLowerInvariant(), "_");
        while (usings.TryGetValue(name, out object? other) && !ReferenceEquals(other, value))
        {
            name += "_";
        }

        usings[name] = value;
        return new Edit(node.Extent, variable.Splatted ? $"@{name}" : $"${{{name}}}");
    }

    /// <exception cref="HandlerScriptException">The value contains a script block.</exception>
    internal static void RefuseScriptBlocks(string parameter, string name, object? value)
    {
        if (ScriptBlockSearch.PathIn(value) is { } path)
        {
            throw new HandlerScriptException(
                "UsingUnsupported", ErrorCategory.InvalidArgument,
                $"-{parameter}: '{name}{path}' is a script block, which belongs to the runspace that it comes from. Put the function into a module " +
                "and give that to -ImportModule, or write the code into the handler.");
        }
    }

    private static string KindOf(VariablePath variable) =>
        !variable.IsDriveQualified ? "variable"
        : variable.DriveName.Equals("function", StringComparison.OrdinalIgnoreCase) ? "function"
        : "item";

    /// <summary>
    /// Whether a statement ends the handling of the message. An exit does so anywhere, a break or a continue only outside of loops and switches.
    /// </summary>
    private static bool EndsMessage(Ast node)
    {
        if (node is ExitStatementAst)
        {
            return true;
        }

        if (node is not (BreakStatementAst { Label: null } or ContinueStatementAst { Label: null }))
        {
            return false;
        }

        for (Ast parent = node.Parent; parent is not ScriptBlockAst; parent = parent.Parent)
        {
            if (parent is LoopStatementAst or SwitchStatementAst)
            {
                return false;
            }
        }

        return true;
    }

    private static ScriptBlockAst BlockOf(Ast node)
    {
        while (node is not ScriptBlockAst)
        {
            node = node.Parent;
        }

        return (ScriptBlockAst)node;
    }

    /// <summary>The block's text with the edits made, at the same line and column as in its file.</summary>
    private static string Apply(ScriptBlockAst ast, List<Edit> edits, bool encloses)
    {
        IScriptExtent extent = ast.Extent;
        string head = "", tail = "";
        if (encloses)
        {
            IScriptExtent[] statements = [.. ast.EndBlock.Statements.Select(s => s.Extent), .. ast.EndBlock.Traps?.Select(t => t.Extent) ?? []];
            if (ast.EndBlock.Unnamed && ast.ParamBlock is null && ast.UsingStatements.Count == 0)
            {
                // The loop stands outside of the user's lines, so that an error message that quotes a line does not show it.
                (head, tail) = (LoopHead, "\n" + LoopTail);
            }
            else
            {
                int first = statements.Min(static s => s.StartOffset);
                int last = statements.Max(static s => s.EndOffset);
                edits.Add(new Edit(first, first, LoopHead + " "));
                edits.Add(new Edit(last, last, " " + LoopTail));
            }
        }

        StringBuilder text = new(extent.Text);

        // Edits are made from the end of the text, so that the offsets of the others stay right. An insertion before a replaced text comes
        // after the replacement.
        foreach (Edit edit in edits.OrderByDescending(static edit => edit.Start).ThenByDescending(static edit => edit.End))
        {
            text.Remove(edit.Start - extent.StartOffset, edit.End - edit.Start);
            text.Insert(edit.Start - extent.StartOffset, edit.Text);
        }

        if (ast.Parent is not null)
        {
            // These are the braces of a script block expression or of a function.
            text[0] = ' ';
            text[^1] = ' ';
        }

        head = UsingsOf(ast) + head;
        text.Append(tail);
        string indent = new(' ', extent.StartColumnNumber - 1);
        text.Insert(0, extent.StartLineNumber > 1 ? head + new string('\n', extent.StartLineNumber - 1) + indent : head.PadRight(indent.Length));
        return text.ToString();
    }

    /// <summary>
    /// The namespaces and assemblies that the script around the block names at its top in using statements. They apply to the block, too.
    /// </summary>
    private static string UsingsOf(ScriptBlockAst ast)
    {
        Ast root = ast;
        while (root.Parent is not null)
        {
            root = root.Parent;
        }

        // Using statements for modules are left out, because a module's classes are bound to the runspace that loaded the module.
        return root == ast || root is not ScriptBlockAst script ? "" : string.Concat(script.UsingStatements
            .Where(static statement => statement.UsingStatementKind is UsingStatementKind.Namespace or UsingStatementKind.Assembly)
            .Select(static statement => statement.Extent.Text + "; "));
    }

    /// <summary>A <c>$using:</c> expression as the variable is called in the runspace of the user who wrote it.</summary>
    internal static string WithoutUsing(string text) => UsingPrefix().Replace(text, "$1");

    [GeneratedRegex(@"^([$@]\{?)using:", RegexOptions.IgnoreCase)]
    private static partial Regex UsingPrefix();

    [GeneratedRegex("[^a-z0-9_]")]
    private static partial Regex UnsafeInName();

    private readonly record struct Edit(int Start, int End, string Text)
    {
        internal Edit(IScriptExtent extent, string text) : this(extent.StartOffset, extent.EndOffset, text)
        {
        }
    }
}

/// <summary>Thrown for a script block that cannot be a handler. Carries the error that Start-C10kServer shows.</summary>
internal sealed class HandlerScriptException(string id, ErrorCategory category, string message, Exception? inner = null) : Exception(message, inner)
{
    internal string Id { get; } = id;

    internal ErrorCategory Category { get; } = category;
}
