using System.Collections.ObjectModel;
using System.Management.Automation;
using System.Management.Automation.Host;
using System.Security;

namespace C10kServer.Host;

/// <summary>Answers of a user: from the terminal, or line by line where standard input is redirected.</summary>
internal sealed class Prompter(bool nonInteractive)
{
    private readonly CommandLineEditor? _editor =
        CommandLineEditor.IsSupported && !nonInteractive ? new CommandLineEditor(complete: null) : null;

    /// <exception cref="PipelineStoppedException">Ctrl+C was pressed.</exception>
    /// <exception cref="HostException">There is nobody to ask.</exception>
    public string ReadLine(string prompt)
    {
        if (nonInteractive)
        {
            throw new HostException("The host was started with -NonInteractive: nothing can be asked.");
        }

        if (_editor is not null)
        {
            return _editor.Read(prompt, out _) ?? throw new PipelineStoppedException();
        }

        Console.Out.Write(prompt);
        var line = Console.In.ReadLine();

        // Taking the end of input for an empty answer would confirm what nobody confirmed.
        return line ?? throw new HostException("Standard input has ended: nothing can be asked.");
    }

    public SecureString ReadSecret(string prompt)
    {
        var secret = new SecureString();
        if (_editor is null)
        {
            foreach (var character in ReadLine(prompt))
            {
                secret.AppendChar(character);
            }

            return secret;
        }

        Console.Out.Write(prompt);
        Console.TreatControlCAsInput = true;
        try
        {
            while (true)
            {
                var key = Console.ReadKey(intercept: true);
                if (key.Key == ConsoleKey.Enter)
                {
                    return secret;
                }

                if (key.Key == ConsoleKey.C && key.Modifiers == ConsoleModifiers.Control)
                {
                    throw new PipelineStoppedException();
                }

                if (key.Key == ConsoleKey.Backspace)
                {
                    if (secret.Length > 0)
                    {
                        secret.RemoveAt(secret.Length - 1);
                        Console.Out.Write("\b \b");
                    }
                }
                else if (!char.IsControl(key.KeyChar))
                {
                    secret.AppendChar(key.KeyChar);
                    Console.Out.Write('*');
                }
            }
        }
        finally
        {
            Console.TreatControlCAsInput = false;
            Console.Out.WriteLine();
        }
    }

    /// <summary>Reads a value a field, and values until an empty line for a list.</summary>
    public Dictionary<string, PSObject> ReadFields(Collection<FieldDescription> fields)
    {
        var answers = new Dictionary<string, PSObject>(StringComparer.OrdinalIgnoreCase);
        foreach (var field in fields)
        {
            if (field.ParameterTypeFullName == typeof(SecureString).FullName)
            {
                answers[field.Name] = PSObject.AsPSObject(ReadSecret(field.Name + ": "));
            }
            else if (field.ParameterTypeFullName.EndsWith("[]", StringComparison.Ordinal))
            {
                var items = new List<object>();
                while (ReadLine($"{field.Name}[{items.Count}]: ") is { Length: > 0 } item)
                {
                    items.Add(item);
                }

                answers[field.Name] = PSObject.AsPSObject(items.ToArray());
            }
            else
            {
                answers[field.Name] = PSObject.AsPSObject(ReadLine(field.Name + ": "));
            }
        }

        return answers;
    }

    /// <summary>Asks until one of the choices is named, by its letter or in full, or the default is taken by an empty line.</summary>
    public int ReadChoice(Collection<ChoiceDescription> choices, int defaultChoice, Action<string> writeLine)
    {
        var labels = choices.Select(c => c.Label.Replace("&", "", StringComparison.Ordinal)).ToArray();
        var keys = choices.Select((c, i) => KeyOf(c.Label) ?? labels[i]).ToArray();
        var offer = string.Join("  ", labels.Select((label, i) => $"[{keys[i]}] {label}"));
        var hint = defaultChoice >= 0 ? $" (default is \"{keys[defaultChoice]}\")" : "";
        while (true)
        {
            var answer = ReadLine($"{offer}  [?] Help{hint}: ").Trim();
            if (answer.Length == 0 && defaultChoice >= 0)
            {
                return defaultChoice;
            }

            for (var i = 0; i < labels.Length; i++)
            {
                if (answer.Equals(keys[i], StringComparison.OrdinalIgnoreCase)
                    || answer.Equals(labels[i], StringComparison.OrdinalIgnoreCase))
                {
                    return i;
                }
            }

            if (answer == "?")
            {
                for (var i = 0; i < labels.Length; i++)
                {
                    writeLine($"{keys[i]} - {choices[i].HelpMessage}");
                }
            }
        }
    }

    private static string? KeyOf(string label)
    {
        var mark = label.IndexOf('&', StringComparison.Ordinal);
        return mark >= 0 && mark + 1 < label.Length ? label.Substring(mark + 1, 1).ToUpperInvariant() : null;
    }
}
