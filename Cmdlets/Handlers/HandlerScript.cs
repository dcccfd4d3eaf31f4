using System.Management.Automation;
using System.Management.Automation.Language;
using System.Text;
using System.Text.RegularExpressions;

namespace C10kServer.Scripting;

/// <summary>
/// A handler's script block, made ready to be rebuilt in another runspace: as text, with the values that its <c>$using:</c> variables had.
/// </summary>
/// <remarks>
/// The block itself is bound to the runspace that it comes from: called elsewhere it would wait for that runspace's thread, and then run on
/// it. Edits keep every line where it was, so that errors tell the line in the user's file.
/// </remarks>
internal sealed partial class HandlerScript
{
    // Around a block whose nested blocks may want to end the message: break finds it from wherever it is called.
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

    /// <summary>Whether it looks at its arguments. Others are spared the array.</summary>
    internal bool TakesArguments { get; }

    /// <summary>The value that an expression has for the caller; false where its variable does not exist.</summary>
    internal delegate bool UsingLookup(VariablePath variable, ExpressionAst expression, out object? value);

    /// <exception cref="HandlerScriptException">The block cannot be a handler, and why.</exception>
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

        // What stands in a block for another runspace is that one's.
        bool IsOwn(Ast node) => !InnerBlocks.Enclose(node, ast);

        List<Edit> edits = [];
        foreach (Ast node in ast.FindAll(static node => node is UsingExpressionAst, searchNestedScriptBlocks: true).Where(IsOwn))
        {
            edits.Add(Replace(parameter, (UsingExpressionAst)node, lookup, usings));
        }

        bool encloses = false;
        foreach (Ast node in ast.FindAll(static node => EndsMessage(node), searchNestedScriptBlocks: true).Where(IsOwn))
        {
            // They would be an exception, which takes with it what the block has put out before.
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

    /// <summary>A block for the calling thread's runspace, bound to none other.</summary>
    internal ScriptBlock Build() => Parser.ParseInput(_text, _file, out _, out _).GetScriptBlock();

    /// <summary>As the user wrote it.</summary>
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

    /// <exception cref="HandlerScriptException">There is a script block in the value.</exception>
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

    /// <summary>exit anywhere, break and continue outside of loops: they end the handling of the message.</summary>
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

    /// <summary>The block's text with the edits, at the line and column at which it stands in its file.</summary>
    private static string Apply(ScriptBlockAst ast, List<Edit> edits, bool encloses)
    {
        IScriptExtent extent = ast.Extent;
        string head = "", tail = "";
        if (encloses)
        {
            IScriptExtent[] statements = [.. ast.EndBlock.Statements.Select(s => s.Extent), .. ast.EndBlock.Traps?.Select(t => t.Extent) ?? []];
            if (ast.EndBlock.Unnamed && ast.ParamBlock is null && ast.UsingStatements.Count == 0)
            {
                // Where it does not show when an error tells the line.
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

        // From the end on, so that offsets stay right; what is put before a text that is replaced comes after that.
        foreach (Edit edit in edits.OrderByDescending(static edit => edit.Start).ThenByDescending(static edit => edit.End))
        {
            text.Remove(edit.Start - extent.StartOffset, edit.End - edit.Start);
            text.Insert(edit.Start - extent.StartOffset, edit.Text);
        }

        if (ast.Parent is not null)
        {
            // The braces of a script block expression or a function.
            text[0] = ' ';
            text[^1] = ' ';
        }

        head = UsingsOf(ast) + head;
        text.Append(tail);
        string indent = new(' ', extent.StartColumnNumber - 1);
        text.Insert(0, extent.StartLineNumber > 1 ? head + new string('\n', extent.StartLineNumber - 1) + indent : head.PadRight(indent.Length));
        return text.ToString();
    }

    /// <summary>What the script in which the block stands has said at its top of namespaces and assemblies holds for the block.</summary>
    private static string UsingsOf(ScriptBlockAst ast)
    {
        Ast root = ast;
        while (root.Parent is not null)
        {
            root = root.Parent;
        }

        // Classes of a module are bound to the runspace that has loaded it.
        return root == ast || root is not ScriptBlockAst script ? "" : string.Concat(script.UsingStatements
            .Where(static statement => statement.UsingStatementKind is UsingStatementKind.Namespace or UsingStatementKind.Assembly)
            .Select(static statement => statement.Extent.Text + "; "));
    }

    /// <summary>A using expression as the one who wrote it has it in his own runspace.</summary>
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

/// <summary>A script block that cannot be a handler, with the error that Start-C10kServer is to show.</summary>
internal sealed class HandlerScriptException(string id, ErrorCategory category, string message, Exception? inner = null) : Exception(message, inner)
{
    internal string Id { get; } = id;

    internal ErrorCategory Category { get; } = category;
}
