# The rules that hold for every cmdlet, each tried on servers that run. Which cmdlets, parameters and outputs there are is read from
# the metadata: a new one is tried with the others, or fails here until it is said how it can be called. Where a rule is waived for
# one, the reason stands beside it. The rules that need no server are in Module.Tests.ps1.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeDiscovery {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$root/C10kServer.psd1"
    $all = foreach ($command in Get-Command -Module C10kServer -CommandType Cmdlet) {
        @{ Name = $command.Name; Command = $command; Has = $command.Parameters }
    }

    $changing = $all.Where({ $_.Has.ContainsKey('WhatIf') })
    $passing = $all.Where({ $_.Has.ContainsKey('PassThru') })
    $acting = $all.Where({ $_.Has.ContainsKey('InputObject') })

    # By what a cmdlet is told on what to act, or where to look. A new server's name is none of these.
    $named = foreach ($each in $all.Where({ $_.Name -ne 'Start-C10kServer' })) {
        foreach ($by in 'Name', 'Id', 'Server') {
            if ($each.Has.ContainsKey($by)) { $each + @{ By = $by } }
        }
    }

    $looking = $all.Where({ ($_.Has.ContainsKey('Server') -and -not $_.Has.ContainsKey('InputObject')) -or $_.Name -eq 'Get-C10kServer' })
    $waiting = $all.Where({ $_.Has.ContainsKey('Timeout') -or $_.Has.ContainsKey('Wait') -or $_.Has.ContainsKey('Continuous') })
    $completed = foreach ($each in $all) {
        foreach ($parameter in $each.Has.Values) {
            if ($parameter.Attributes.Where({ $_ -is [System.Management.Automation.ArgumentCompleterAttribute] })) {
                @{ Name = $each.Name; Parameter = $parameter.Name; Kind = $parameter.ParameterType.Name }
            }
        }
    }
}

BeforeAll {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$root/C10kServer.psd1"
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"

    # A server with one open connection, and the client's end of it. The script lets a handler's view of the connection out.
    function Open-Stage([string] $Name = 'stage') {
        $seen = [System.Collections.Concurrent.ConcurrentQueue[object]]::new()
        $greet = { ($using:seen).Enqueue($Connection) }
        $server = Start-C10kServer -Name $Name -Workers 2 -HandlerCount 1 -OnConnect $greet -ScriptBlock { $_ }
        $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $server.Port)
        Wait-Until { $seen.Count -eq 1 -and @($server.Connections).Count -eq 1 }
        @{ Server = $server; Client = $client; Connection = $server.Connections[0]; Live = $seen.ToArray()[0] }
    }

    function Close-Stage {
        Get-C10kServer | Stop-C10kServer
    }

    # What a cmdlet needs besides its target, by the types of its parameters; every option for one that sets options.
    function Get-Argument([System.Management.Automation.CmdletInfo] $Command, [hashtable] $Stage) {
        $arguments = @{}
        $common = [System.Management.Automation.Cmdlet]::CommonParameters
        $set = $Command.ParameterSets.Where({ $_.Parameters.Name -contains 'InputObject' })[0]
        if (-not $set) { $set = $Command.ParameterSets.Where({ $_.IsDefault })[0] }
        if (-not $set) { $set = $Command.ParameterSets[0] }
        foreach ($parameter in $set.Parameters) {
            $name = $parameter.Name
            if ($common.Contains($name) -or $name -in 'InputObject', 'Server', 'Name', 'Id', 'PassThru', 'WhatIf', 'Confirm') { continue }
            if (-not $parameter.IsMandatory -and $Command.Verb -ne 'Set') { continue }
            $type = $parameter.ParameterType
            if ($type.IsArray) { $type = $type.GetElementType() }
            $arguments[$name] = switch ($type) {
                { $name -eq 'Worker' } { 1 - $Stage.Connection.Worker; break }
                { $name -eq 'State' } { [enum]::GetNames($type); break }
                { $_ -eq [int] } { 3; break }
                { $_ -eq [C10kServer.Duration] } { '7s'; break }
                { $_.IsEnum } { [enum]::GetNames($type)[0]; break }
                { $_ -eq [object] -or $_ -eq [System.Collections.IEnumerable] } { 'data'; break }
                default { throw "This test does not know what to give for -$name of $Command." }
            }
        }

        # What waits or measures by default is not to take long.
        if ($Command.Parameters.ContainsKey('Interval')) { $arguments.Interval = '10ms' }
        if ($Command.Verb -eq 'Watch') { $arguments.Timeout = '50ms' }
        if ($Command.Parameters.ContainsKey('Mode')) { $arguments.Connection = 1; $arguments.Count = 1 }
        $arguments
    }

    # Server or Connection, by the type that the cmdlet's -InputObject is turned into.
    function Get-TargetKind([System.Management.Automation.CmdletInfo] $Command) {
        $Command.Parameters['InputObject'].ParameterType.GetElementType().Name -replace 'Target$'
    }

    function Get-Target([System.Management.Automation.CmdletInfo] $Command, [hashtable] $Stage) {
        $Stage[(Get-TargetKind $Command)]
    }

    # Resuming shows only on what is suspended.
    function Suspend-First([System.Management.Automation.CmdletInfo] $Command, [hashtable] $Stage) {
        if ($Command.Verb -eq 'Resume') {
            $suspend = "Suspend-$($Command.Noun)"
            & $suspend -InputObject (Get-Target $Command $Stage)
        }
    }

    # All that a cmdlet can change, as a text.
    function Get-Picture {
        $lines = foreach ($server in Get-C10kServer) {
            "$($server.Id) $($server.Name) $($server.State) $($server.StartTime.Ticks)"
            foreach ($property in [C10kServer.ServerOptions].GetProperties()) { "$($property.Name) $($property.GetValue($server.Options))" }
            foreach ($connection in $server.Connections) {
                "$($connection.Id) $($connection.State) $($connection.Worker) $($connection.ReadPaused) $($connection.BytesSent)"
            }
        }
        $lines -join "`n"
    }

    function ConvertTo-Copy($Object) {
        [System.Management.Automation.PSSerializer]::Deserialize([System.Management.Automation.PSSerializer]::Serialize($Object))
    }

    # One object of each type that the cmdlets say they write, as far as it is of the module, and what handlers have.
    function Get-EachOutput([hashtable] $Stage) {
        @{
            Server         = $Stage.Server
            Connection     = $Stage.Connection
            Worker         = $Stage.Server.Workers[0]
            Sample         = $Stage.Server | Measure-C10kServer -Interval 10ms
            LogRecord      = @(Get-C10kLog $Stage.Server)[0]
            LiveConnection = $Stage.Live
        }
    }

    # Runs a script in a runspace of its own, which sees the same servers.
    function Invoke-Aside([string] $Script, $Argument) {
        $state = [initialsessionstate]::CreateDefault2()
        $null = $state.ImportPSModule([string[]]"$root/C10kServer.psd1")
        $begun = [System.Threading.ManualResetEventSlim]::new()
        $shell = [powershell]::Create($state).AddScript("param(`$Begun, `$Argument) `$Begun.Set(); $Script")
        $null = $shell.AddArgument($begun).AddArgument($Argument)
        $call = $shell.BeginInvoke()
        if (-not $begun.Wait(180000)) { throw 'It has not begun.' }
        @{ Shell = $shell; Call = $call }
    }
}

AfterAll {
    Get-C10kServer | Stop-C10kServer
}

Describe '<Name> -WhatIf' -ForEach $changing {
    BeforeAll {
        $stage = Open-Stage
        $given = if ($Has.ContainsKey('InputObject')) { @{ InputObject = Get-Target $Command $stage } } else { @{ Name = 'new' } }
        $given += Get-Argument $Command $stage
        Suspend-First $Command $stage
    }

    AfterAll {
        $stage.Client.Dispose()
        Close-Stage
    }

    # In this order, as the one shows that the other could have failed.
    It 'changes nothing, and without it something is changed' {
        $before = Get-Picture
        & $Name @given -WhatIf | Should -BeNullOrEmpty
        Get-Picture | Should -Be $before
        $null = & $Name @given
        Wait-Until { (Get-Picture) -ne $before } -Seconds 10
    }
}

Describe '<Name> -WhatIf, of what is not there or cannot be done' -ForEach $changing.Where({ $_.Has.ContainsKey('InputObject') }) {
    BeforeAll {
        $stage = Open-Stage

        $more = Get-Argument $Command $stage
    }

    AfterAll {
        $stage.Client.Dispose()
        Close-Stage
    }

    It 'says which Id there is not, as the act would, and names in full what there is' {
        $good = (Get-Target $Command $stage).Id
        # What -WhatIf shows goes to the host alone, whose transcript has it.
        $path = "$TestDrive/transcript"
        $null = Start-Transcript -LiteralPath $path
        try {
            & $Name -Id 999999, $good @more -WhatIf -ErrorAction SilentlyContinue -ErrorVariable failed
        } finally {
            $null = Stop-Transcript
        }

        $failed | Should -HaveCount 1
        $failed[0].FullyQualifiedErrorId | Should -Match '^(Server|Connection)NotFound,'
        $shown = [System.IO.File]::ReadAllText($path)
        $shown | Should -Match 'What if: .*target "[^"]*127\.0\.0\.1:\d+'
        $shown | Should -Match '\bstage\b'
        [regex]::Matches($shown, 'What if:').Count | Should -Be 1
    }

    It 'looks for an object too, which may have ended since' {
        if ((Get-TargetKind $Command) -ne 'Connection') { return }
        $gone = Open-Stage gone
        $gone.Client.Dispose()
        Wait-Until { $gone.Server.ConnectionCount -eq 0 }
        $gone.Connection | & $Name @more -WhatIf -ErrorAction SilentlyContinue -ErrorVariable failed
        $failed | Should -HaveCount 1
        $failed[0].FullyQualifiedErrorId | Should -Be "ConnectionNotFound,$($Command.ImplementingType.FullName)"
        $gone.Server | Stop-C10kServer
    }

    It 'says what the act could not do' {
        switch ($Name) {
            'Move-C10kConnection' { $script = { Move-C10kConnection $stage.Connection.Id 99 -WhatIf }; $id = 'WorkerNotFound' }
            'Set-C10kServer' { $script = { Set-C10kServer stage -WorkerCount 9999 -WhatIf }; $id = 'InvalidArgument' }
            { $_ -in 'Suspend-C10kServer', 'Resume-C10kServer' } {
                $ended = Start-C10kServer -Name ended
                $ended | Stop-C10kServer
                $script = { & $Name $ended -WhatIf }
                $id = 'InvalidServerState'
            }
            'Restart-C10kServer' {
                $old = Start-C10kServer -Name again
                $old | Stop-C10kServer
                $null = Start-C10kServer -Name again
                $script = { Restart-C10kServer $old -WhatIf }
                $id = 'NameInUse'
            }
            default { return }
        }
        & $script -ErrorVariable failed -ErrorAction SilentlyContinue 2>&1 | ForEach-Object FullyQualifiedErrorId |
            Should -Be "$id,$($Command.ImplementingType.FullName)"
    }
}

Describe '<Name> -PassThru' -ForEach $passing {
    BeforeAll {
        $stage = Open-Stage
    }

    AfterAll {
        $stage.Client.Dispose()
        Close-Stage
    }

    It 'writes the target, of a type that is declared, and without it nothing' {
        $given = Get-Argument $Command $stage
        Suspend-First $Command $stage
        $written = @(& $Name -InputObject (Get-Target $Command $stage) @given -PassThru)
        $written | Should -HaveCount 1
        $written[0].Id | Should -Be (Get-Target $Command $stage).Id
        $Command.OutputType.Name -contains $written[0].GetType().FullName | Should -BeTrue
        if ($Command.Noun -eq 'C10kServer' -and $Command.Verb -notin 'Stop', 'Restart') {
            & $Name -InputObject (Get-Target $Command $stage) @given | Should -BeNullOrEmpty
        }
    }
}

Describe '<Name> by -<By>' -ForEach $named {
    BeforeAll {
        $stage = Open-Stage
    }

    AfterAll {
        $stage.Client.Dispose()
        Close-Stage
    }

    It 'says what is not there without ending, and processes the next' {
        $good = switch ($By) {
            'Id' {
                switch ($Command) {
                    { $Has.Id.ParameterType -eq [long[]] } { $stage.Connection.Id; break }
                    { $_.Noun -eq 'C10kWorker' } { 0; break }
                    default { $stage.Server.Id }
                }
            }
            default { $stage.Server.Name }
        }
        $bad = if ($By -eq 'Id') { 999999 } else { 'nobody' }
        $given = Get-Argument $Command $stage
        $given[$By] = $bad, $good
        if ($Has.ContainsKey('PassThru')) { $given.PassThru = $true }
        Suspend-First $Command $stage
        $written = @(& $Name @given -ErrorAction SilentlyContinue -ErrorVariable failed)
        $failed | Should -HaveCount 1
        $class = "C10kServer\.Commands\.$($Name -replace '-')Command"
        $failed[0].FullyQualifiedErrorId | Should -Match "^(Server|Connection|Worker)NotFound,$class$"
        $failed[0].CategoryInfo.Category | Should -Be ObjectNotFound
        "$($failed[0])" | Should -Match "$bad" -Because 'it says what is not there'
        "$($failed[0])" | Should -Match '(Get|Restart)-C10k\w+' -Because 'it says what to do'

        # Watching writes only what happens later.
        if ($Command.Verb -ne 'Watch') { $written.Count | Should -BeGreaterThan 0 }
        foreach ($object in $written) { $Command.OutputType.Name -contains $object.GetType().FullName | Should -BeTrue }
    }

    It 'takes a pattern that matches nothing in silence, and says of one that cannot be read that it cannot' {
        if ($By -eq 'Id') { return }
        $given = Get-Argument $Command $stage
        $given[$By] = 'nobody*'
        & $Name @given -ErrorVariable failed | Should -BeNullOrEmpty
        $failed | Should -BeNullOrEmpty
        $given[$By] = '[x'
        & $Name @given -ErrorAction SilentlyContinue -ErrorVariable failed | Should -BeNullOrEmpty
        $failed | Should -HaveCount 1
        $failed[0].FullyQualifiedErrorId | Should -Be "InvalidPattern,C10kServer.Commands.$($Name -replace '-')Command"
    }
}

Describe '<Name>, piped into by each output' -ForEach $looking {
    BeforeAll {
        $stage = Open-Stage
        $other = Start-C10kServer -Name other -Workers 1
        $outputs = Get-EachOutput $stage
    }

    AfterAll {
        $stage.Client.Dispose()
        Close-Stage
    }

    It 'has all types of the module that cmdlets write of a server' {
        $types = foreach ($each in Get-Command -Module C10kServer -CommandType Cmdlet) { @($each.OutputType.Name) -like 'C10kServer.*' }
        foreach ($type in $types) {
            # A LoadResult is of an endpoint, which may be another process's.
            if ($type -ne 'C10kServer.LoadResult') { $outputs.ContainsKey(($type -split '\.')[-1]) | Should -BeTrue -Because $type }
        }
    }

    It 'looks into the server that the object is of, and no other' {
        foreach ($kind in $outputs.Keys) {
            $given = Get-Argument $Command $stage
            if ($Has.ContainsKey('PassThru')) { $given.PassThru = $true }
            $written = @($outputs[$kind] | & $Name @given -ErrorVariable failed)
            $failed | Should -BeNullOrEmpty -Because $kind
            if ($Command.Verb -ne 'Watch') { $written.Count | Should -BeGreaterThan 0 -Because $kind }
            foreach ($object in $written) {
                $owner = if ($object -is [C10kServer.Server]) { $object.Name } else { $object.ServerName }
                $owner | Should -Be $stage.Server.Name -Because $kind
            }
        }
    }
}

Describe '<Name>, piped into by what it does not act on' -ForEach $acting {
    BeforeAll {
        $stage = Open-Stage
        $type = Get-TargetKind $Command

        # The numbers of servers, workers and connections meet: a wrong one would be hit, and seen.
        $null = Start-C10kServer -Name other -Workers 1
        $outputs = Get-EachOutput $stage
    }

    AfterAll {
        $stage.Client.Dispose()
        Close-Stage
    }

    It 'turns it away, says so, and touches nothing' {
        $before = Get-Picture
        foreach ($kind in $outputs.Keys) {
            # A connection in a handler's hands is a connection, by its Id. Send-C10kData sends to all connections of a server or a worker.
            if ($kind -eq $type -or ($kind -eq 'LiveConnection' -and $type -eq 'Connection')) { continue }
            if ($Has.ContainsKey('Server') -and $kind -in 'Server', 'Worker') { continue }
            $given = Get-Argument $Command $stage
            $outputs[$kind] | & $Name @given -ErrorAction SilentlyContinue -ErrorVariable failed | Should -BeNullOrEmpty -Because $kind
            $failed | Should -Not -BeNullOrEmpty -Because $kind
            "$($failed[0])" | Should -Match 'Put Get-C10k(Server|Connection) between' -Because $kind
            $failed[0].FullyQualifiedErrorId | Should -Be "InvalidTarget,$($Command.ImplementingType.FullName)" -Because $kind
        }

        Get-Picture | Should -Be $before
    }

    It 'turns copies away, since what has their Id here may be another' {
        $before = Get-Picture
        foreach ($kind in $outputs.Keys) {
            $given = Get-Argument $Command $stage
            $copy = ConvertTo-Copy $outputs[$kind]
            $copy | & $Name @given -ErrorAction SilentlyContinue -ErrorVariable failed | Should -BeNullOrEmpty -Because $kind
            $failed | Should -Not -BeNullOrEmpty -Because $kind
            "$($failed[0])" | Should -Match "copy of a $kind" -Because $kind
            $failed[0].FullyQualifiedErrorId | Should -Be "CopiedTarget,$($Command.ImplementingType.FullName)" -Because $kind
        }

        Get-Picture | Should -Be $before
    }

    It 'turns strangers away, whose Id or Name is somebody''s here, says so for each, and touches nothing' {
        $job = [System.Management.Automation.PSObject]::new((Start-ThreadJob { 1 }))
        $id = $stage[$type].Id
        $given = Get-Argument $Command $stage
        $strangers = @(
            $job
            Get-Process -Id $PID
            $id
            [int]$id
            [pscustomobject]@{ Id = $id; Name = $stage.Server.Name; ServerName = $stage.Server.Name; Server = $stage.Server }
            $stage[$type] | Select-Object Id, ServerName
            $stage[$type] | ConvertTo-Json -Depth 1 -WarningAction Ignore | ConvertFrom-Json
            $stage[$type] | ConvertTo-Csv -IncludeTypeInformation | ConvertFrom-Csv
            @{ Id = $id; Name = $stage.Server.Name }
        )
        $before = Get-Picture
        $strangers | & $Name @given -ErrorAction SilentlyContinue -ErrorVariable failed | Should -BeNullOrEmpty
        $failed | Should -HaveCount $strangers.Count
        foreach ($each in $failed) {
            $each.FullyQualifiedErrorId | Should -BeIn "InvalidTarget,$($Command.ImplementingType.FullName)", "CopiedTarget,$($Command.ImplementingType.FullName)"
            $each.CategoryInfo.Category | Should -Be InvalidArgument
            "$each" | Should -Match '^(An object|The number|This is a copy)' -Because $each
            "$each" | Should -Match 'Give what Get-C10k|as -Id' -Because $each
        }

        Get-Picture | Should -Be $before
        Remove-Job $job -Force
    }

    It 'goes on with the next after a wrong one, whether they are piped or given' {
        $given = Get-Argument $Command $stage
        if ($Has.ContainsKey('PassThru')) { $given.PassThru = $true }
        Suspend-First $Command $stage
        $written = @((Get-Process -Id $PID), $stage[$type] | & $Name @given -ErrorAction SilentlyContinue -ErrorVariable failed)
        $failed | Should -HaveCount 1
        $written.Count | Should -BeGreaterThan 0
        & $Name -InputObject (Get-Process -Id $PID) @given -ErrorAction SilentlyContinue -ErrorVariable failed | Should -BeNullOrEmpty
        $failed | Should -HaveCount 1
        $failed[0].FullyQualifiedErrorId | Should -Be "InvalidTarget,$($Command.ImplementingType.FullName)"
    }
}

Describe '<Name>, streaming' -ForEach $all {
    BeforeAll {
        $stage = Open-Stage
        $second = Open-Stage second

        # What has to have all its targets before it can begin.
        $collects = @{
            'Measure-C10kServer'       = 'servers are measured over the same intervals'
            'Get-C10kLog'              = 'the records of several servers are in the order of time'
            'ConvertTo-C10kPrometheus' = 'the samples of a metric stand together, whatever server they are of'
            'Watch-C10kConnection'     = 'it writes what happens later'
            'Start-C10kServer'         = 'it takes nothing from the pipeline'
        }
    }

    AfterAll {
        $stage.Client.Dispose()
        $second.Client.Dispose()
        Close-Stage
    }

    It 'writes what it has of one target before the next one comes' {
        if ($collects.ContainsKey($Name)) { return }
        $given = Get-Argument $Command $stage
        if ($Has.ContainsKey('PassThru')) { $given.PassThru = $true }
        $kind = if ($Has.ContainsKey('InputObject')) { Get-TargetKind $Command } else { 'Server' }
        $order = [System.Collections.Generic.List[string]]::new()
        & { foreach ($each in $stage, $second) { $order.Add('in'); $each[$kind] } } | & $Name @given | ForEach-Object { $order.Add('out') }
        $order -join ' ' | Should -Match '^in (out )+in( out)+$'
    }
}

Describe '<Name>, while it waits' -ForEach $waiting {
    BeforeAll {
        $stage = Open-Stage
        $slow = Start-C10kServer -Name slow -AcceptRate 1
        $clients = foreach ($one in 1..30) { [System.Net.Sockets.TcpClient]::new('127.0.0.1', $slow.Port) }

        # For each what it would wait for as good as for ever.
        $wait = @{
            'Get-C10kLog'          = 'Get-C10kLog stage -Wait'
            'Invoke-C10kLoad'      = "Invoke-C10kLoad -Port $((Start-C10kServer).Port) -Connection 2 -Duration 1h"
            'Measure-C10kServer'   = 'Measure-C10kServer stage -Interval 1h -Continuous'
            'Restart-C10kServer'   = 'Restart-C10kServer stage -Drain -Timeout 1h'
            'Stop-C10kServer'      = 'Stop-C10kServer stage -Drain -Timeout 1h'
            'Test-C10kServer'      = 'Test-C10kServer slow -Timeout 1h'
            'Wait-C10kServer'      = 'Wait-C10kServer stage -ConnectionCount 99 -Timeout 1h'
            'Watch-C10kConnection' = 'Watch-C10kConnection stage -Timeout 1h'
        }[$Name]
    }

    AfterAll {
        $stage.Client.Dispose()
        $clients.Dispose()
        Close-Stage
    }

    It 'shows after a second how it stands, with numbers, and ends at Ctrl+C within half a second' {
        $wait | Should -Not -BeNullOrEmpty
        $aside = Invoke-Aside $wait
        try {
            # Rows and records are the progress of what writes one after the other.
            if ($Command.Verb -in 'Get', 'Measure', 'Watch') {
                Wait-Until { $aside.Shell.Runspace.RunspaceAvailability -eq 'Busy' }
            } else {
                Wait-Until { $aside.Shell.Streams.Progress.Count -gt 0 }
                $aside.Shell.Streams.Progress[0].StatusDescription | Should -Match '\d'
                $aside.Shell.Streams.Progress[0].Activity | Should -Match '^[A-Z]'
            }

            $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
            $aside.Shell.Stop()
            $watch.Ran.TotalSeconds | Should -BeLessThan 0.5
        } finally {
            $aside.Shell.Dispose()
        }
    }
}

Describe 'What asks a worker that does not answer' {
    BeforeDiscovery {
        # What acts on connections or gets them, and so asks their workers.
        $isOnes = { $_.Has.ContainsKey('InputObject') -and $_.Has.InputObject.ParameterType -eq [C10kServer.ConnectionTarget[]] }
        $asking = $all.Where($isOnes) + $all.Where({ $_.Name -eq 'Get-C10kConnection' })
    }

    BeforeAll {
        Add-Type -ReferencedAssemblies "$root/bin/dependencies/C10kServer.Engine.dll" -TypeDefinition '
            using System;
            using System.Threading.Tasks;
            using C10kServer.Engine;

            // Holds its worker up, from the first byte until the gate is opened.
            public class HoldingHandler : ConnectionHandler
            {
                public static TaskCompletionSource Gate;
                public static TaskCompletionSource Held;

                public override void OnReceived(Connection connection, ReadOnlySpan<byte> data)
                {
                    Held.TrySetResult();
                    Gate.Task.Wait();
                }
            }'

        # The type stays for as long as the process does, and this file may be run in it again.
        [HoldingHandler]::Gate = [System.Threading.Tasks.TaskCompletionSource]::new()
        [HoldingHandler]::Held = [System.Threading.Tasks.TaskCompletionSource]::new()
        $server = Start-C10kServer -Name held -Workers 1 -Handler ([HoldingHandler])
        $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $server.Port)
        Wait-Until { @($server.Connections).Count -eq 1 }
        $connection = $server.Connections[0]
        $client.GetStream().WriteByte(1)
        [HoldingHandler]::Held.Task.Wait(10000) | Should -BeTrue
    }

    AfterAll {
        $null = [HoldingHandler]::Gate.TrySetResult()
        $client.Dispose()
        Close-Stage
    }

    It '<Name> ends at Ctrl+C within half a second' -ForEach $asking {
        $more = switch ($Name) { 'Send-C10kData' { ' -Data x' } 'Move-C10kConnection' { ' -Worker 0' } }
        $script = if ($Has.ContainsKey('InputObject')) { "`$Argument | $Name$more" } else { "$Name held" }
        $aside = Invoke-Aside $script $connection
        try {
            Wait-Until { $aside.Shell.Runspace.RunspaceAvailability -eq 'Busy' }
            $aside.Call.AsyncWaitHandle.WaitOne(200) | Should -BeFalse -Because 'it waits for the worker'
            $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
            $aside.Shell.Stop()
            $watch.Ran.TotalSeconds | Should -BeLessThan 0.5
        } finally {
            $aside.Shell.Dispose()
        }
    }

    It 'says which worker it is, and what to do, after five seconds' {
        Get-C10kConnection held -ErrorAction SilentlyContinue -ErrorVariable failed | Should -BeNullOrEmpty
        $failed | Should -HaveCount 1
        $failed[0].FullyQualifiedErrorId | Should -Be 'WorkerNotResponding,C10kServer.Commands.GetC10kConnectionCommand'
        $failed[0].CategoryInfo.Category | Should -Be OperationTimeout
        "$($failed[0])" | Should -Match "^Worker 0 of held .*Get-C10kWorker 'held'"
    }

    It 'writes what it has at once, before it waits for the rest' {
        # The one that answers first, so that there is something to write.
        $stage = Open-Stage quick
        $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        try {
            & { $stage.Server; $server } | Get-C10kConnection | ForEach-Object { throw 'the first row' }
        } catch {
            "$_" | Should -Be 'the first row'
        }

        $watch.Ran.TotalSeconds | Should -BeLessThan 2
        $stage.Client.Dispose()
    }

    It 'is shown as it comes: a row of the table is there before it waits for the rest' {
        $stage = Open-Stage quick1
        $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        try {
            $stage.Server, $server | Get-C10kConnection | Format-Table | ForEach-Object {
                if ($_.GetType().Name -eq 'FormatEntryData') { throw 'a row' }
            }
        } catch {
            "$_" | Should -Be 'a row'
        }

        $watch.Ran.TotalSeconds | Should -BeLessThan 2
        $stage.Client.Dispose()
    }

    It 'is stopped by Select-Object -First 1, and does not wait for the worker' {
        $stage = Open-Stage quick2
        $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        $stage.Server, $server | Get-C10kConnection | Select-Object -First 1 | Should -HaveCount 1
        $watch.Ran.TotalSeconds | Should -BeLessThan 2
        $stage.Client.Dispose()
    }
}

Describe 'Completion' {
    BeforeAll {
        $stage = Open-Stage 'a stage'
        $null = Start-C10kServer -Name other -Workers 1
    }

    AfterAll {
        $stage.Client.Dispose()
        Close-Stage
    }

    It 'of <Name> -<Parameter> offers what there is' -ForEach $completed {
        $line = "$Name -$Parameter "
        $offers = [System.Management.Automation.CommandCompletion]::CompleteInput($line, $line.Length, $null).CompletionMatches
        $expected = switch ($Parameter) {
            { $_ -in 'Name', 'Server', 'InputObject' } { "'a stage'", 'other'; break }
            'Worker' { '0', '1'; break }
            { $_ -eq 'Id' -and $Kind -eq 'Int64[]' } { "$($stage.Connection.Id)"; break }
            { $_ -eq 'Id' -and $Name -eq 'Get-C10kWorker' } { '0', '1'; break }
            'Id' { "$($stage.Server.Id)"; break }
            'Encoding' { 'utf8', 'latin1'; break }
            'Address' { '127.0.0.1', "'::1'"; break }
            default { throw "This test does not know what -$Parameter is to offer." }
        }
        foreach ($text in $expected) { $offers.CompletionText | Should -Contain $text }
        foreach ($offer in $offers) { $offer.ToolTip | Should -Not -BeNullOrEmpty }
    }

    It 'of -Id and -Worker keeps to the servers that -Server names' {
        function Get-Offer([string] $Line) {
            [System.Management.Automation.CommandCompletion]::CompleteInput($Line, $Line.Length, $null).CompletionMatches.CompletionText
        }

        Get-Offer 'Get-C10kConnection -Server other -Id ' | Should -Not -Contain "$($stage.Connection.Id)"
        Get-Offer 'Get-C10kConnection -Server other -Worker ' | Should -Be '0'
        Get-Offer "Get-C10kConnection -Server 'a*' -Worker " | Should -Be '0', '1'
    }
}
