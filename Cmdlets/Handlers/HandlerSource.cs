using System.Linq.Expressions;
using System.Management.Automation;
using System.Reflection;
using C10kServer.Scripting;

namespace C10kServer;

/// <summary>The protocol that a server speaks: the engine's factory of handlers, and how it is shown.</summary>
/// <remarks>Each way in which a user can name the protocol has a method here.</remarks>
internal sealed class HandlerSource
{
    private HandlerSource(string name, Func<Engine.ConnectionHandler> factory, object? given = null, HandlerCode? code = null)
    {
        Name = name;
        Factory = factory;
        Given = given;
        Code = code;
    }

    /// <summary>The name of the protocol, or of the handler's type.</summary>
    internal string Name { get; }

    /// <summary>The workers call it for each connection.</summary>
    internal Func<Engine.ConnectionHandler> Factory { get; }

    /// <summary>The compiled handler, or its type, as the user gave it.</summary>
    internal object? Given { get; }

    /// <summary>The script blocks and how they are run, if the handler is a script.</summary>
    internal HandlerCode? Code { get; }

    /// <summary>Whether messages have an end: the framing ends them, or a request of a compiled handler does.</summary>
    internal bool MessagesEnd => Given is not null || Code is { Framing.Kind: not Engine.FramingKind.Raw };

    /// <summary>A handler that is a script. Messages go to handler threads, and the engine takes its handler from their scheduler.</summary>
    internal static HandlerSource Script(HandlerCode code) => new(
        "Script", static () => throw new System.Diagnostics.UnreachableException("A server with handler threads has a handler of its own."), code: code);

    /// <summary>Makes the handler threads of a server. Null for a server that does not need any.</summary>
    internal HandlerPool? MakePool(Server server) => Code is null ? null : new HandlerPool(server, Code);

    internal static HandlerSource BuiltIn(BuiltInProtocol protocol) => new(protocol.ToString(), protocol switch
    {
        BuiltInProtocol.Echo => Engine.Handlers.BuiltInHandlers.Echo,
        BuiltInProtocol.Hello => Engine.Handlers.BuiltInHandlers.Hello,
        BuiltInProtocol.Discard => Engine.Handlers.BuiltInHandlers.Discard,
        BuiltInProtocol.Chargen => Engine.Handlers.BuiltInHandlers.Chargen,
        BuiltInProtocol.Daytime => Engine.Handlers.BuiltInHandlers.Daytime,
        BuiltInProtocol.Time => Engine.Handlers.BuiltInHandlers.Time,
        _ => throw new ArgumentOutOfRangeException(nameof(protocol), protocol, "There is no such protocol."),
    });

    /// <summary>A compiled handler. An object serves all connections; of a type, each connection gets its own object.</summary>
    /// <exception cref="ArgumentException">The value is neither; the message says what it is, and what it must be.</exception>
    internal static HandlerSource Compiled(object given)
    {
        Type type = given as Type ?? given.GetType();
        string? problem = ProblemOf(given, type);
        if (problem is not null)
        {
            throw new ArgumentException(problem);
        }

        return given is Engine.ConnectionHandler handler
            ? new HandlerSource(type.Name, () => handler, given)
            : new HandlerSource(type.Name, FactoryOf(type), given);
    }

    private static string? ProblemOf(object given, Type type)
    {
        const string Wanted = "A handler is an object, or a type, that derives from C10kServer.Engine.ConnectionHandler: see about_C10kServer_Handlers.";
        if (given is ScriptBlock)
        {
            return "A script block is no compiled handler. Give it as -ScriptBlock.";
        }

        if (given is string text)
        {
            return $"'{text}' is text. Put a type into parentheses, or it is taken for text: -Handler ([{text.Trim('[', ']')}]). {Wanted}";
        }

        if (!type.IsSubclassOf(typeof(Engine.ConnectionHandler)))
        {
            return type == typeof(Engine.ConnectionHandler) ? $"{type} is abstract: derive from it."
                : IsOfAnotherEngine(type, out string? place)
                    ? $"{type} derives from the ConnectionHandler of another copy of the engine, loaded from '{place}'. Compile against " +
                      $"'{typeof(Engine.ConnectionHandler).Assembly.Location}', and do not load that file: the module does."
                : $"{(given is Type ? "The type" : "An object of type")} {type} does not derive from ConnectionHandler. {Wanted}";
        }

        if (IsPowerShellClass(type))
        {
            return $"{type} is a PowerShell class. Its methods need a runspace, and handlers run on the engine's threads, where there is " +
                "none. Write the handler in C#, or give a script block as -ScriptBlock.";
        }

        if (given is not Type)
        {
            return null;
        }

        return type.ContainsGenericParameters ? $"{type} is an open generic type. Say of what: ([{Bare(type)}[int]]) for instance."
            : type.IsAbstract ? $"{type} is abstract, so there are no objects of it. Give a type that derives from it."
            : type.GetConstructor(Type.EmptyTypes) is null
                ? $"{type} has no public constructor without parameters, which makes a handler for each connection. Add one, or give " +
                  "an object instead: it serves all connections."
            : null;
    }

    /// <summary>
    /// The constructor is compiled once. Activator would look it up for each connection, and would wrap an exception that it throws.
    /// </summary>
    private static Func<Engine.ConnectionHandler> FactoryOf(Type type) =>
        Expression.Lambda<Func<Engine.ConnectionHandler>>(Expression.New(type)).Compile();

    // Pitfall 45. The shell compiles its classes into dynamic assemblies, which it marks with this attribute.
    private static bool IsPowerShellClass(Type type) =>
        type.Assembly.IsDynamic && type.Assembly.IsDefined(typeof(DynamicClassImplementationAssemblyAttribute));

    // Loading the engine's file, for instance with Add-Type -Path, puts a second engine into the process. The types of the two engines differ.
    private static bool IsOfAnotherEngine(Type type, out string? place)
    {
        for (Type? ancestor = type; ancestor is not null; ancestor = ancestor.BaseType)
        {
            if (ancestor.FullName == typeof(Engine.ConnectionHandler).FullName)
            {
                place = ancestor.Assembly.Location;
                return true;
            }
        }

        place = null;
        return false;
    }

    private static string Bare(Type type) => type.FullName!.Split('`')[0];
}
